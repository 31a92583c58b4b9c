using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Semel.Client.Appending;
using Semel.Client.Cluster;
using Semel.Client.Inquiries;
using Semel.Client.Reading;
using Semel.Protocol.Messages;
using Semel.Protocol.Naming;
using Semel.Protocol.Wires;
using Semel.Transport;

namespace Semel.Client;

/// <summary>
/// A program's way into a Semel cluster: names, writers, readers. Make one and share it; it is thread-safe. It holds connections, which heal by themselves.
/// </summary>
/// <remarks>
/// Every operation takes at most <see cref="SemelClientOptions.OperationTimeout"/>, during which it tries again by itself. Failures are
/// <see cref="SemelException"/>s; among them, for every operation, <see cref="ClusterUnavailableException"/> and <see cref="ClusterRefusedException"/>.
/// Paths are absolute (<c>/logs/app</c>): components of 1 to 255 bytes of UTF-8, at most 4,096 bytes, no <c>.</c> and <c>..</c>.
/// </remarks>
/// <example><code>
/// await using var client = SemelClient.Connect("localhost:7070");
/// await client.CreateAsync("/logs/app", new CreateOptions { CreateParents = true, OpenIfExists = true });
///
/// await using (var writer = await client.OpenWriterAsync("/logs/app", new WriterOptions { Name = "web-1" }))
///     await writer.AppendAsync("hello"u8.ToArray());
///
/// await foreach (var record in client.ReadRecordsAsync("/logs/app"))
///     Console.WriteLine(Encoding.UTF8.GetString(record.Data.Span));
/// </code></example>
public sealed class SemelClient : IAsyncDisposable
{
    private readonly ClientParts _parts;
    private readonly IAsyncDisposable? _ownWire;

    internal SemelClient(IWire wire, string master, SemelClientOptions options, TimeProvider time, Random random, ILoggerFactory loggers)
        : this(wire, master, options, time, random, loggers, SynchronizationContext.Current, ownWire: null) { }

    private SemelClient(
        IWire wire, string master, SemelClientOptions options, TimeProvider time, Random random, ILoggerFactory loggers,
        SynchronizationContext? ambient, IAsyncDisposable? ownWire)
    {
        options.Validate();
        _parts = new ClientParts(wire, master, options, time, random, loggers, ambient);
        _ownWire = ownWire;
    }

    /// <summary>
    /// A client of the cluster whose master listens on <paramref name="master"/>. Returns at once: connections are made when they are needed, and a master that
    /// is not there shows at the first operation.
    /// </summary>
    /// <param name="master"><c>host:port</c> or <c>unix:/path</c>.</param>
    /// <param name="options">Defaults when null.</param>
    /// <exception cref="ArgumentException">The address is not of that form, or an option is out of its range.</exception>
    public static SemelClient Connect(string master, SemelClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(master);
        if (!IsAddress(master))
            throw new ArgumentException($"'{master}' is not the address of a master. An address looks like localhost:7070, 10.0.0.7:7070, [::1]:7070 or unix:/run/semel/master.", nameof(master));
        options ??= new SemelClientOptions();
        options.Validate();
        var wire = new SocketWire(new SocketWireOptions { Role = "client" }, TimeProvider.System, new Random(), options.LoggerFactory);
        return new SemelClient(wire, master, options, TimeProvider.System, new Random(), options.LoggerFactory, ambient: null, wire);
    }

    /// <summary>The master's address, as it was given.</summary>
    public string Master => _parts.Master.Address;

    /// <summary>Asks the master for a sign of life.</summary>
    /// <returns>How long that took, attempts included.</returns>
    public async ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken = default)
    {
        long start = _parts.Time.GetTimestamp();
        await _parts.Master.AskAsync<ClusterStatusReply>(MessageKind.ClusterStatus, new ClusterStatusRequest(), cancellationToken);
        return _parts.Time.GetElapsedTime(start);
    }

    /// <summary>What the master knows of the cluster and its chunk servers.</summary>
    public async Task<ClusterStatus> GetClusterStatusAsync(CancellationToken cancellationToken = default)
    {
        var answer = await _parts.Master.AskAsync<ClusterStatusReply>(MessageKind.ClusterStatus, new ClusterStatusRequest(), cancellationToken);
        return MasterAnswers.ToClusterStatus(answer.OrThrow("/"));
    }

    /// <summary>Creates an empty file, durable when this returns.</summary>
    /// <returns>True: it was created. False: it was there (<see cref="CreateOptions.OpenIfExists"/>), or an earlier attempt of this call made it.</returns>
    /// <exception cref="PathConflictException">There is a file or directory at the path, or a file on the way to it.</exception>
    /// <exception cref="PathNotFoundException">A directory on the way is missing and <see cref="CreateOptions.CreateParents"/> is false.</exception>
    /// <exception cref="InvalidPathException">The path breaks a rule, or the cluster cannot have so many replicas.</exception>
    public async Task<bool> CreateAsync(string path, CreateOptions? options = null, CancellationToken cancellationToken = default)
    {
        Check(path);
        options ??= new CreateOptions();
        options.Validate();
        var request = new CreateFileRequest
        {
            Path = path,
            Replicas = (uint)options.Replicas,
            Durability = options.Durability == FileDurability.Memory ? Durability.Memory : Durability.Group,
            OrOpen = options.OpenIfExists,
            Parents = options.CreateParents,
        };
        var answer = await _parts.Master.AskAsync<CreateFileReply>(MessageKind.CreateFile, request, cancellationToken);
        return answer.OrThrow(path).Created;
    }

    /// <summary>Makes a directory, durable when this returns.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="createParents">Make missing directories on the way; then an existing directory is fine too.</param>
    /// <param name="cancellationToken">Ends the wait; the directory may be made all the same.</param>
    /// <exception cref="PathConflictException">The path exists.</exception>
    /// <exception cref="PathNotFoundException">A directory on the way is missing and <paramref name="createParents"/> is false.</exception>
    /// <exception cref="InvalidPathException">The path breaks a rule.</exception>
    public async Task MakeDirectoryAsync(string path, bool createParents = false, CancellationToken cancellationToken = default)
    {
        Check(path);
        var request = new MakeDirectoryRequest { Path = path, Parents = createParents };
        var answer = await _parts.Master.AskAsync<MakeDirectoryReply>(MessageKind.MakeDirectory, request, cancellationToken);
        answer.OrThrow(path);
    }

    /// <summary>
    /// The names in a directory, in the order of their bytes, asked for in pages as they are needed. Not a snapshot: names that come and go meanwhile may or may not be there.
    /// </summary>
    /// <exception cref="PathNotFoundException">There is no such directory.</exception>
    /// <exception cref="PathConflictException">It is a file.</exception>
    public async IAsyncEnumerable<ListEntry> ListAsync(string path, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        Check(path);
        string after = "";
        while (true)
        {
            var request = new ListDirectoryRequest { Path = path, After = after, Limit = 1000 };
            var answer = await _parts.Master.AskAsync<ListDirectoryReply>(MessageKind.ListDirectory, request, cancellationToken);
            var page = answer.OrThrow(path);
            foreach (var entry in page.Entries)
                yield return MasterAnswers.ToListEntry(path, entry);
            if (!page.More || page.Entries.Count == 0)
                yield break;
            after = page.Entries[^1].Name;
        }
    }

    /// <summary>What the master knows of a file or directory.</summary>
    /// <exception cref="PathNotFoundException">There is nothing at the path.</exception>
    public async Task<FileStatus> StatAsync(string path, CancellationToken cancellationToken = default)
    {
        Check(path);
        var answer = await _parts.Master.AskAsync<StatReply>(MessageKind.Stat, new StatRequest { Path = path }, cancellationToken);
        return MasterAnswers.ToFileStatus(path, answer.OrThrow(path));
    }

    /// <summary>Deletes a file or directory, durable when this returns. Its chunks are collected later; readers and writers of it fail from then on.</summary>
    /// <param name="path">The file or directory.</param>
    /// <param name="recursive">Delete a directory with all that is in it.</param>
    /// <param name="cancellationToken">Ends the wait; it may be deleted all the same.</param>
    /// <returns>Files and directories that were deleted; 0 when an earlier attempt of this call, whose answer was lost, may have deleted them.</returns>
    /// <exception cref="PathNotFoundException">There is nothing at the path.</exception>
    /// <exception cref="PathConflictException">The directory is not empty and <paramref name="recursive"/> is false.</exception>
    public async Task<long> DeleteAsync(string path, bool recursive = false, CancellationToken cancellationToken = default)
    {
        Check(path);
        var answer = await _parts.Master.AskAsync<DeleteReply>(MessageKind.Delete, new DeleteRequest { Path = path, Recursive = recursive }, cancellationToken);
        if (answer is { Repeated: true, Reply.Status: Status.NotFound })
            return 0;
        return (long)answer.OrThrow(path).Deleted;
    }

    /// <summary>
    /// Opens a writer. With a name that was used before it goes on where that one got (<see cref="RecordWriter.LastSequence"/>), and the earlier incarnation
    /// appends no more: what it had in doubt is settled when this returns.
    /// </summary>
    /// <exception cref="PathNotFoundException">There is no such file.</exception>
    /// <exception cref="PathConflictException">It is a directory.</exception>
    /// <exception cref="WriterFencedException">Another process opened the same name at the same moment.</exception>
    /// <exception cref="TooManyWritersException">The file has as many writers as it may.</exception>
    /// <exception cref="WriterExpiredException">The file has forgotten how far the writer of that name got.</exception>
    public Task<RecordWriter> OpenWriterAsync(string path, WriterOptions? options = null, CancellationToken cancellationToken = default)
    {
        Check(path);
        options ??= new WriterOptions();
        options.Validate();
        return new WriterOpening(_parts).OpenAsync(path, options, cancellationToken);
    }

    /// <summary>
    /// What became of an append whose answer was lost: committed at this place, or aborted for ever, decided now. For a process that does not hold the record any
    /// more; who does just appends it again under the same name and sequence.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="writerName">The name under which the record was appended.</param>
    /// <param name="sequence">The record's number in the writer's sequence, from 1.</param>
    /// <param name="settle">
    /// True: a record that is not in the file is fenced out of it, and with it every living incarnation of the writer (<see cref="WriterFencedException"/>). False: only look.
    /// </param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="PathNotFoundException">There is no such file.</exception>
    /// <exception cref="WriterNotFoundException">The file knows no writer of that name.</exception>
    public Task<OperationStatus> GetOperationStatusAsync(
        string path, string writerName, ulong sequence, bool settle = true, CancellationToken cancellationToken = default)
    {
        Check(path);
        ArgumentException.ThrowIfNullOrEmpty(writerName);
        ArgumentOutOfRangeException.ThrowIfZero(sequence);
        return new OperationInquiry(_parts, path, writerName).AskAsync(sequence, settle, cancellationToken);
    }

    /// <summary>
    /// Reads records in the order of the file. Only committed records are seen, each as it is on every replica, with all checksums verified here again; a replica that
    /// does not serve or verify is replaced by another one.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Where to begin, and whether to go on at the end. Default: all records that are there.</param>
    /// <param name="cancellationToken">Ends the reading with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="PathNotFoundException">There is no such file, or it was deleted meanwhile.</exception>
    /// <exception cref="PathConflictException">It is a directory.</exception>
    /// <exception cref="InvalidPositionException"><see cref="ReadOptions.From"/> is no place in this file.</exception>
    /// <exception cref="PositionOfAnotherFileException">
    /// <see cref="ReadOptions.From"/> is a place in another file, such as the one that had the path before.
    /// </exception>
    /// <exception cref="CorruptDataException">No replica that answers has bytes that verify.</exception>
    /// <example><code>
    /// // Follow a log from its present end.
    /// var tail = new ReadOptions { From = RecordPosition.End, Follow = true };
    /// await foreach (var record in client.ReadRecordsAsync("/logs/app", tail, stop))
    ///     Console.WriteLine($"{record.Position} {Encoding.UTF8.GetString(record.Data.Span)}");
    /// </code></example>
    public IAsyncEnumerable<SemelRecord> ReadRecordsAsync(string path, ReadOptions? options = null, CancellationToken cancellationToken = default)
    {
        Check(path);
        options ??= new ReadOptions();
        return new RecordReading(_parts, path).ReadAsync(options.From, options.Follow, cancellationToken);
    }

    /// <summary>
    /// The records' bytes one after the other, without anything between them, as a forward-only stream. Use its asynchronous methods: the others block a thread.
    /// Failures are those of <see cref="ReadRecordsAsync"/>.
    /// </summary>
    public Stream OpenReadStream(string path, ReadOptions? options = null) => new RecordStream(ReadRecordsAsync(path, options));

    /// <summary>Closes the connections. Dispose the writers first.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_ownWire is not null)
            await _ownWire.DisposeAsync();
    }

    internal ClientParts Parts => _parts;

    private static bool IsAddress(string text)
    {
        if (text.StartsWith("unix:/", StringComparison.Ordinal))
            return text.Length > "unix:/".Length;
        int colon = text.LastIndexOf(':');
        return colon > 0
            && !text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c) || c == '/')
            && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port)
            && port > 0;
    }

    private static void Check(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!FilePath.TryValidate(path, out string? fault))
            throw new InvalidPathException(path, fault);
    }
}
