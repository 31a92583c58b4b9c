using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Terminal;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Transport;
using Command = System.CommandLine.Command;

namespace Semel.Cli.Commands.Chunks;

/// <summary>
/// <c>semel chunk recover HANDLE</c>: shows what is left of a chunk and what each copy lacks; with <c>--use</c> the operator decides for
/// one.
/// </summary>
internal static class ChunkCommand
{
    /// <param name="LostBytes">Bytes that the longest copy has and this one has not; null: not known.</param>
    /// <param name="LostRecords">Likewise.</param>
    private sealed record CopyShape(
        string Server, string Address, bool Alive, bool Member, string State, string? LastView, long? Bytes, long? CommittedBytes, long? FileRecords, long? LostBytes, long? LostRecords, string Detail);

    private sealed record ChunkShape(
        string Handle, string Path, ulong Index, ulong Version, bool Sealed, long? SealedLength, string Problem, IReadOnlyList<CopyShape> Copies, long Unknown);

    private sealed record RecoveredShape(string Handle, string Server, ulong Version, bool Sealed, long Length);

    public static Command Create(VerbRunner run)
    {
        var handle = new Argument<string>("handle") { Description = "The chunk's handle, as the master's log, `semel append` and `semel cluster status` name it." };
        handle.Validators.Add(result =>
        {
            if (!TryParse(result.GetValueOrDefault<string>(), out _))
                result.AddError($"'{result.Tokens[0].Value}' is not a chunk handle: it has up to 16 hexadecimal digits.");
        });
        var use = new Option<string?>("--use") { Description = "Let the chunk go on with this server's copy alone, and give up what only others have.", HelpName = "SERVER" };
        var yes = new Option<bool>("--yes") { Description = "With --use: do it. Without it, it is only shown." };
        var recover = run.Runs(
            new Command("recover", "Show every copy of a chunk that cannot go on, and what would be lost with each; or decide for one of them.") { handle, use, yes },
            async context =>
            {
                _ = TryParse(context.Get(handle), out ulong chunk);
                await using var wire = new SocketWire(new SocketWireOptions { Role = "client" }, context.Time, new Random(), NullLoggerFactory.Instance);
                var copies = await AskAsync<InspectCopiesReply>(context, wire, MessageKind.InspectCopies, new InspectCopiesRequest { Handle = chunk }, r => (r.Status, r.Detail));
                var shape = ShapeOf(chunk, copies);
                if (context.Get(use) is { } server)
                    await UseAsync(context, wire, chunk, copies, shape, server, context.Get(yes));
                else if (context.Get(yes))
                    throw CommandException.Usage("--yes is for --use.");
                else
                    Show(context, shape);
            });
        return new Command("chunk", "Look after single chunks.") { recover };
    }

    private static async Task UseAsync(CommandContext context, SocketWire wire, ulong chunk, InspectCopiesReply copies, ChunkShape shape, string server, bool isDecided)
    {
        var chosen = shape.Copies.FirstOrDefault(c => c.Server == server || c.Address == server)
            ?? throw new CommandException(ExitCode.NotFound, $"There is no chunk server {server}. Name its id or address: {string.Join(", ", shape.Copies.Select(c => $"{c.Server} ({c.Address})"))}.");
        if (chosen.Bytes is null)
            throw new CommandException(ExitCode.NotFound, $"Chunk server {chosen.Server} at {chosen.Address} gives no copy of chunk {shape.Handle}: {chosen.Detail}.");
        if (!isDecided)
        {
            Show(context, shape);
            throw CommandException.Usage($"Nothing was done. To let {shape.Path} go on with the copy of {chosen.Server}{LossOf(chosen, shape)}, repeat it with --yes.");
        }
        ulong id = copies.Copies.First(c => new ServerId(c.Server.ServerId).ToString() == chosen.Server).Server.ServerId;
        var reply = await AskAsync<RecoverChunkReply>(
            context, wire, MessageKind.RecoverChunk, new RecoverChunkRequest { Handle = chunk, ServerId = id, Version = copies.Version }, r => (r.Status, r.Detail));
        if (context.Json)
            context.Streams.WriteLine(JsonLine.Of(new RecoveredShape(shape.Handle, chosen.Server, reply.Version, reply.Sealed, reply.Length)));
        else
        {
            context.Streams.WriteLine($"Chunk {shape.Handle} of {shape.Path} goes on with the copy of {chosen.Server}{LossOf(chosen, shape)}. "
                + (reply.Sealed ? string.Create(CultureInfo.InvariantCulture, $"It has ended at {reply.Length} bytes, and is copied to other servers.") : "It is being ended."));
        }
    }

    private static ChunkShape ShapeOf(ulong handle, InspectCopiesReply reply)
    {
        var held = reply.Copies.Where(c => c.Status == Status.Ok).ToList();
        long best = held.Select(c => (long)c.Report.Tail).DefaultIfEmpty().Max();
        long most = held.Select(c => (long)c.FileRecords).DefaultIfEmpty().Max();
        var copies = reply.Copies.Select(c => new CopyShape(
            new ServerId(c.Server.ServerId).ToString(), c.Server.Address, c.Alive, c.Member, StateOf(c, reply),
            c.Status == Status.Ok ? new Ballot(c.Report.LastView).ToString() : null,
            c.Status == Status.Ok ? c.Report.Tail : null, c.Status == Status.Ok ? c.Report.Committed : null, c.Status == Status.Ok ? (long)c.FileRecords : null,
            c.Status == Status.Ok ? best - c.Report.Tail : null, c.Status == Status.Ok ? most - (long)c.FileRecords : null, c.Detail));
        return new ChunkShape(
            new ChunkHandle(handle).ToString(), reply.Path, reply.Index, reply.Version, reply.Sealed, reply.Sealed ? reply.SealedLength : null, reply.Problem,
            [.. copies], reply.Copies.Count(c => c.Status is not (Status.Ok or Status.NotFound)));
    }

    private const string Damaged = "damaged";

    /// <summary>Of a copy that is damaged, also when no other one is known that has more.</summary>
    private const string OwnLoss = "what was durable in it and does not verify any more";

    private static string StateOf(ChunkCopy copy, InspectCopiesReply chunk) => copy.Status switch
    {
        Status.NotFound => "none",
        not Status.Ok => "unknown",
        _ when copy.ProvesLoss => "proof of loss",
        _ when copy.Report.Damaged => Damaged,
        _ when chunk.Sealed => copy.Report.Sealed && copy.Report.Tail == chunk.SealedLength ? "complete" : "incomplete",
        _ when copy.Report.Suspect => "doubtful",
        _ => copy.Member ? "member" : "former member",
    };

    /// <summary>As far as is known. It may have lost some of its own all the same.</summary>
    private static bool HasMost(CopyShape copy) => copy is { LostBytes: 0, LostRecords: 0 };

    private static string WouldLose(CopyShape copy)
    {
        if (copy.LostBytes is null)
            return copy.Detail;
        if (HasMost(copy))
            return copy.State == Damaged ? OwnLoss : "nothing that is known";
        return string.Create(CultureInfo.InvariantCulture, $"{copy.LostRecords} records, {copy.LostBytes} bytes");
    }

    private static string LossOf(CopyShape copy, ChunkShape chunk)
    {
        string known = HasMost(copy)
            ? copy.State == Damaged ? $", and give up {OwnLoss}" : "; no copy that is known has more"
            : string.Create(CultureInfo.InvariantCulture, $", and give up {copy.LostRecords} records ({copy.LostBytes} bytes) that another copy has");
        return known + (chunk.Unknown > 0 ? string.Create(CultureInfo.InvariantCulture, $"; what {chunk.Unknown} servers have that do not answer is not known") : "");
    }

    private static void Show(CommandContext context, ChunkShape chunk)
    {
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(chunk));
            return;
        }
        context.Streams.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"chunk {chunk.Handle}: index {chunk.Index} of {chunk.Path}, version {chunk.Version}, {(chunk.SealedLength is { } length ? $"sealed at {length} bytes" : "open")}"));
        context.Streams.WriteLine(chunk.Problem.Length > 0 ? chunk.Problem : "It can go on: there is nothing to decide.");
        context.Streams.WriteLine("server            address                state           view        bytes    committed  records of the file  would lose");
        foreach (var c in chunk.Copies)
        {
            context.Streams.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{c.Server}  {c.Address,-21}  {c.State,-14}  {c.LastView ?? "-",-6}  {(c.Bytes is { } b ? b : "-"),9}  {(c.CommittedBytes is { } committed ? committed : "-"),11}  {(c.FileRecords is { } r ? r : "-"),19}  {WouldLose(c)}{(c.Alive ? "" : " (not registered)")}"));
        }
        if (chunk.Unknown > 0)
            context.Streams.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{chunk.Unknown} servers do not answer: what they have is not known. Start them first, if they still exist."));
    }

    private static async Task<T> AskAsync<T>(CommandContext context, SocketWire wire, MessageKind kind, Google.Protobuf.IMessage request, Func<T, (Status, string)> statusOf)
        where T : class, Google.Protobuf.IMessage
    {
        var result = await wire.LinkTo(context.Master).CallAsync(kind, request, default, context.Timeout ?? TimeSpan.FromSeconds(30), context.Cancellation);
        result.Payload.Release();
        context.Cancellation.ThrowIfCancellationRequested();
        if (!result.IsAnswered)
            throw new CommandException(ExitCode.Temporary, $"The master {context.Master} does not answer: {result.Detail}");
        var reply = result.Answer<T>();
        var (status, detail) = statusOf(reply);
        return status switch
        {
            Status.Ok => reply,
            Status.NotFound => throw new CommandException(ExitCode.NotFound, detail),
            Status.Conflict or Status.Stale => throw new CommandException(ExitCode.Conflict, detail),
            Status.Invalid => throw new CommandException(ExitCode.Failed, $"The master {context.Master} does not know this request: it is older than this program. {detail}"),
            _ => throw new CommandException(ExitCode.Temporary, detail),
        };
    }

    private static bool TryParse(string? text, out ulong handle) => ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out handle) && handle != 0;
}
