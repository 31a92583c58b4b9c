using System.Text;
using Semel.Master.Namespace;
using Semel.Master.OperationLog;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Writers;

/// <summary>
/// Names of writers: the first registration of a name gives the writer its id, each later one its next epoch. What an older epoch still has under
/// way is fenced by the primary once the new epoch has introduced itself there.
/// </summary>
/// <remarks>
/// A file forgets writers that were idle for long when it needs their room, but only those whose names the master has closed before
/// (<see cref="Expire"/>): else the next incarnation would begin again with sequence 1 and append everything a second time.
/// </remarks>
internal sealed class WriterRegistrations(MasterServices services, NamespaceCalls names)
{
    private const int MaxNameBytes = 128;
    private const int MostIdentified = 1000;

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
        if (known is { HasExpired: true } && !request.StartAnew)
            return Refuse(new(Status.Expired, ExpiredDetail(request.Name, request.Path)));
        bool anew = known is not { HasExpired: false } || known.Value.Id.Value == request.InsteadOf;
        ulong writer = anew ? services.State.NextWriterId : known!.Value.Id.Value;
        uint epoch = anew ? 1 : known!.Value.Epoch + 1;
        services.Journal.Append(new LogEntry
        {
            WriterRegistered = new WriterRegistered { FileId = file.Id.Value, Name = request.Name, Writer = writer, Epoch = epoch, Ephemeral = request.Ephemeral },
        });
        return new RegisterWriterReply { Status = Status.Ok, Writer = writer, Epoch = epoch, FileId = file.Id.Value };
    }

    public LookUpWriterReply LookUp(LookUpWriterRequest request)
    {
        LookUpWriterReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        if (names.FindFile(request.Path, request.FileId, out var file) is { } refusal)
            return Refuse(refusal);
        if (file.FindWriter(request.Name) is not { } writer)
            return new LookUpWriterReply { Status = Status.Ok, FileId = file.Id.Value };
        return new LookUpWriterReply
        {
            Status = writer.HasExpired ? Status.Expired : Status.Ok,
            Detail = writer.HasExpired ? ExpiredDetail(request.Name, request.Path) : "",
            Writer = writer.Id.Value,
            Epoch = writer.Epoch,
            FileId = file.Id.Value,
        };
    }

    /// <summary>What the log knows of writers that somebody has found in the file's frames.</summary>
    public IdentifyWritersReply Identify(IdentifyWritersRequest request)
    {
        if (names.FindFile(request.Path, request.FileId, out var file) is { } refusal)
            return new IdentifyWritersReply { Status = refusal.Status, Detail = refusal.Detail };
        if (request.Writers.Count > MostIdentified)
            return new IdentifyWritersReply { Status = Status.Invalid, Detail = $"At most {MostIdentified} writers can be asked about at a time; these are {request.Writers.Count}." };
        var named = file.FindWriters([.. request.Writers.Select(w => new WriterId(w))]).Select(w => w.Value).ToLookup(w => w.Id.Value, w => w.Epoch);
        var reply = new IdentifyWritersReply { Status = Status.Ok };
        reply.Writers.AddRange(request.Writers.Select(w => new IdentifiedWriter
        {
            Writer = w,
            Standing = named.Contains(w) ? IdentifiedAs.WriterRegistered
                : services.State.GivenWriters.Contains(w) ? IdentifiedAs.WriterWithoutName
                : IdentifiedAs.WriterNeverGiven,
            Epoch = named[w].DefaultIfEmpty().Max(),
        }));
        return reply;
    }

    /// <summary>Forgets the name of an ephemeral writer that was closed with nothing in doubt.</summary>
    public Status Retire(RetireWriterRequest request)
    {
        if (services.State.Namespace.Find(new FileId(request.FileId)) is not { } file
            || file.FindWriter(request.Name) is not { IsEphemeral: true } writer
            || writer.Id.Value != request.Writer || writer.Epoch != request.Epoch)
            return Status.NotFound;
        services.Journal.Append(new LogEntry { WriterRetired = new WriterRetired { FileId = request.FileId, Name = request.Name } });
        return Status.Ok;
    }

    /// <summary>
    /// Closes the names of writers that a file wants to forget. An incarnation that has registered and not introduced itself yet is told so when it does: the
    /// file takes in no id that is not above those it has forgotten.
    /// </summary>
    public Status Expire(ExpireWritersRequest request)
    {
        if (services.State.FindChunk(new ChunkHandle(request.Handle)) is not { } chunk)
            return Status.NotFound;
        if (request.Version != chunk.Version || request.Sender != chunk.Primary.Value)
            return Status.Stale;
        ulong file = chunk.File.Id.Value;
        // Who is not found has no name any more: it was retired, or its name stands for another id now.
        foreach (var (name, writer) in chunk.File.FindWriters([.. request.Writers.Select(w => new WriterId(w))]).ToList())
        {
            if (writer.IsEphemeral)
                services.Journal.Append(new LogEntry { WriterRetired = new WriterRetired { FileId = file, Name = name } });
            else if (!writer.HasExpired)
                services.Journal.Append(new LogEntry { WriterExpired = new WriterExpired { FileId = file, Name = name } });
        }
        return Status.Ok;
    }

    private static string ExpiredDetail(string name, string path) =>
        $"The writer '{name}' of {path} was idle for so long that the file has forgotten how far it got. Choose another name; or, if none of its records may come again, let it start anew.";
}
