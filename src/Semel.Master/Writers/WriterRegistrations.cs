using System.Text;
using Semel.Master.Namespace;
using Semel.Master.OperationLog;
using Semel.Protocol.Messages;

namespace Semel.Master.Writers;

/// <summary>
/// Names of writers: the first registration of a name gives the writer its id for ever, each later one its next epoch. What an older epoch still has under
/// way is fenced by the primary once the new epoch has introduced itself there.
/// </summary>
internal sealed class WriterRegistrations(MasterServices services, NamespaceCalls names)
{
    private const int MaxNameBytes = 128;

    public RegisterWriterReply Register(RegisterWriterRequest request)
    {
        RegisterWriterReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        int bytes = Encoding.UTF8.GetByteCount(request.Name);
        if (bytes is 0 or > MaxNameBytes)
            return Refuse(new(Status.Invalid, $"The name of a writer has 1 to {MaxNameBytes} bytes; this one has {bytes}."));
        if (request.Name.Any(char.IsControl))
            return Refuse(new(Status.Invalid, "The name of a writer has a control character. Remove it."));
        if (names.FindFile(request.Path, request.FileId, out var file) is { } refusal)
            return Refuse(refusal);
        var known = file.FindWriter(request.Name);
        if (known is null && file.WriterCount >= services.Options.MaxWriterNamesPerFile)
            return Refuse(new(Status.Invalid, $"The file {request.Path} has {file.WriterCount} names of writers, as many as it may. Use a known name, or another file."));
        ulong writer = known?.Id.Value ?? services.State.NextWriterId;
        uint epoch = (known?.Epoch ?? 0) + 1;
        services.Journal.Append(new LogEntry
        {
            WriterRegistered = new WriterRegistered { FileId = file.Id.Value, Name = request.Name, Writer = writer, Epoch = epoch },
        });
        return new RegisterWriterReply { Status = Status.Ok, Writer = writer, Epoch = epoch, FileId = file.Id.Value };
    }
}
