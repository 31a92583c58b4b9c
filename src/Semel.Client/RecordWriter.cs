using Semel.Client.Appending;
using Semel.Client.Cluster;
using Semel.Protocol.Identity;

namespace Semel.Client;

/// <summary>
/// Appends records to one file. Any number of threads may use one writer; any number of writers, in any number of processes, may append to the same
/// file. With <see cref="Delivery.ExactlyOnce"/> the records of one writer are in the file in the order in which the writer took them, each once.
/// </summary>
/// <remarks>
/// <para>Records are batched by themselves: a lone record leaves at once, and while batches are in flight the next one fills. What gets no answer is
/// sent again with the same id and bytes until it is known to be in the file.</para>
/// <para>A failed append is either aborted (the record is not in the file and will not be) or in doubt (<see cref="AppendInDoubtException"/>); see
/// <see cref="SemelException.InDoubt"/>. A <see cref="WriterException"/> means that this writer takes nothing more.</para>
/// </remarks>
/// <example><code>
/// await using var client = SemelClient.Connect("localhost:7070");
/// await using var writer = await client.OpenWriterAsync("/logs/app", new WriterOptions { Name = "web-1" });
/// AppendResult result = await writer.AppendAsync("hello"u8.ToArray());   // returns when it is durable
/// Console.WriteLine(result.Position);
/// </code></example>
public sealed class RecordWriter : IAsyncDisposable
{
    private readonly RecordAppender _appender;
    private readonly ClientParts _parts;
    private WriterRetirement? _retirement;

    internal RecordWriter(RecordAppender appender, string path, string name, AppendIdentity identity, WriterRetirement? retirement, ClientParts parts)
    {
        _appender = appender;
        _retirement = retirement;
        _parts = parts;
        Path = path;
        Name = name;
        WriterId = identity.Writer.Value;
        Epoch = identity.Epoch;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The name under which the writer can be resumed; empty with <see cref="Delivery.AtLeastOnce"/>.</summary>
    public string Name { get; }

    /// <summary>The cluster's number for this file and name; 0 with <see cref="Delivery.AtLeastOnce"/>.</summary>
    public ulong WriterId { get; }

    /// <summary>This incarnation of the writer: one more each time that it is opened. 0 with <see cref="Delivery.AtLeastOnce"/>.</summary>
    public uint Epoch { get; }

    /// <summary>
    /// The last sequence that is known to be in the file; all before it are there too. Right after opening it is where the incarnations before this one got, for
    /// good: the next record gets <c>LastSequence + 1</c>. 0: nothing yet. Always 0 with <see cref="Delivery.AtLeastOnce"/>.
    /// </summary>
    public ulong LastSequence => _appender.Pipeline.LastCommitted;

    /// <summary>
    /// The first sequence that is compared with the file when it is repeated
    /// (<see cref="AppendAsync(ulong, ReadOnlyMemory{byte}, CancellationToken)"/>): the file remembers where the last 8 batches of the
    /// earlier incarnations are. What is older is known to be in the file and not any more where. <c>LastSequence + 1</c> as of opening:
    /// nothing is compared.
    /// </summary>
    public ulong ComparableFrom => _appender.Repeated.ComparableFrom;

    /// <summary>Largest record that the file takes, in bytes: a quarter of a chunk.</summary>
    public int MaxRecordBytes => _appender.MaxRecordBytes;

    /// <summary>Appends a record; completes when it is in the file and as durable as the file's durability says.</summary>
    /// <param name="record">0 to <see cref="MaxRecordBytes"/> bytes. Copied before this method returns. An empty record is a record.</param>
    /// <param name="cancellationToken">Ends the wait. A record that was taken already may still get into the file: see <see cref="AppendCanceledException.InDoubt"/>.</param>
    /// <remarks>
    /// Start many without awaiting each to keep the pipeline full, or use <see cref="EnqueueAsync"/>. When <see cref="WriterOptions.MaxBufferedBytes"/> are
    /// unacknowledged, further records wait for room, at most 65,536 of them.
    /// </remarks>
    /// <exception cref="RecordTooLargeException">Aborted.</exception>
    /// <exception cref="AppendCanceledException">Aborted or in doubt, as it says.</exception>
    /// <exception cref="AppendInDoubtException"><see cref="WriterOptions.AppendTimeout"/> passed, or the writer ended, after the record had been sent.</exception>
    /// <exception cref="DeadlineExceededException">Aborted: <see cref="WriterOptions.AppendTimeout"/> passed while it waited for room.</exception>
    /// <exception cref="WriterException">Aborted: the writer has ended.</exception>
    /// <exception cref="PathNotFoundException">Aborted: the file was deleted.</exception>
    public ValueTask<AppendResult> AppendAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken = default) =>
        _appender.AppendAsync(record, null, cancellationToken);

    /// <summary>
    /// Appends a record under a sequence that the caller chose, so that a source can be imported again from the start: what is in the file already completes
    /// as <see cref="AppendResult.Replayed"/>, after it was compared with the file where that is possible
    /// (<see cref="AppendResult.Comparison"/>). Nothing new is taken meanwhile, so that a source that differs is found out before anything
    /// of it is appended.
    /// </summary>
    /// <param name="sequence">
    /// The record's number in the source, from 1 and without gaps (a line number). Not above <see cref="LastSequence"/> as of opening: replayed. Else it must be the next one.
    /// </param>
    /// <param name="record">
    /// As in <see cref="AppendAsync(ReadOnlyMemory{byte}, CancellationToken)"/>. For a sequence that is replayed: what it was when it was
    /// appended first.
    /// </param>
    /// <param name="cancellationToken">As in <see cref="AppendAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not the next sequence.</exception>
    /// <exception cref="OperationIdReusedException">
    /// The sequence is in the file with other bytes: the source is another one, or was changed. Nothing was appended, and the writer has
    /// ended.
    /// </exception>
    /// <exception cref="InvalidOperationException">The writer is <see cref="Delivery.AtLeastOnce"/>: it has no sequences.</exception>
    /// <example><code>
    /// ulong line = 0;
    /// foreach (string text in File.ReadLines("orders.csv"))
    ///     last = writer.AppendAsync(++line, Encoding.UTF8.GetBytes(text));
    /// await writer.FlushAsync();      // running this again appends nothing twice
    /// </code></example>
    public ValueTask<AppendResult> AppendAsync(ulong sequence, ReadOnlyMemory<byte> record, CancellationToken cancellationToken = default)
    {
        if (WriterId == 0)
            throw new InvalidOperationException("An at-least-once writer has no sequences. Open it with Delivery.ExactlyOnce, or append without a sequence.");
        ArgumentOutOfRangeException.ThrowIfZero(sequence);
        return _appender.AppendAsync(record, sequence, cancellationToken);
    }

    /// <summary>
    /// Appends records as one: all of them or none, next to each other, with consecutive sequences. Completes as <see cref="AppendAsync(ReadOnlyMemory{byte}, CancellationToken)"/> does.
    /// </summary>
    /// <param name="records">At most 65,535 records, and with 4 bytes for each at most <see cref="MaxRecordBytes"/> + 4 bytes. Copied before this method returns.</param>
    /// <param name="cancellationToken">As in <see cref="AppendAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</param>
    /// <returns>A result for each record, in order.</returns>
    /// <exception cref="ArgumentException">There are too many records.</exception>
    /// <exception cref="RecordTooLargeException">Together they are too large. Aborted.</exception>
    public ValueTask<IReadOnlyList<AppendResult>> AppendBatchAsync(IReadOnlyList<ReadOnlyMemory<byte>> records, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(records);
        return _appender.AppendBatchAsync(records, cancellationToken);
    }

    /// <summary>
    /// Takes a record and completes as soon as there is room for it, which is mostly at once. <see cref="FlushAsync"/> says whether what was taken is in the file. The
    /// cheapest way to append many records: one loop that awaits each call is bounded by <see cref="WriterOptions.MaxBufferedBytes"/> and keeps the pipeline full.
    /// </summary>
    /// <param name="record">0 to <see cref="MaxRecordBytes"/> bytes. Must not change until the returned task completes.</param>
    /// <param name="cancellationToken">Gives up waiting for room; the record is then aborted.</param>
    /// <returns>The id of the record; its sequence is in the file once <see cref="LastSequence"/> has reached it.</returns>
    /// <exception cref="RecordTooLargeException">Aborted.</exception>
    /// <exception cref="AppendCanceledException">Aborted.</exception>
    /// <exception cref="DeadlineExceededException">Aborted: <see cref="WriterOptions.AppendTimeout"/> passed while it waited for room.</exception>
    /// <exception cref="WriterException">Aborted: the writer has ended. What was taken before may be in doubt; open the writer again and look at <see cref="LastSequence"/>.</exception>
    /// <example><code>
    /// await foreach (byte[] row in source)
    ///     await writer.EnqueueAsync(row);
    /// await writer.FlushAsync();      // everything is durable now
    /// </code></example>
    public ValueTask<OperationId> EnqueueAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken = default) =>
        _appender.EnqueueAsync(record, cancellationToken);

    /// <summary>Completes when every record that was taken before this call is in the file and durable.</summary>
    /// <param name="cancellationToken">Ends the wait and nothing else.</param>
    /// <exception cref="AppendInDoubtException">The writer ended with records in doubt; the inner exception says why.</exception>
    /// <exception cref="SemelException">The writer has ended; nothing was in doubt.</exception>
    public Task FlushAsync(CancellationToken cancellationToken = default) => _appender.FlushAsync(cancellationToken);

    /// <summary>
    /// Flushes for at most <see cref="SemelClientOptions.OperationTimeout"/>; what is not acknowledged by then fails, in doubt. Never throws: call
    /// <see cref="FlushAsync"/> before in order to know. A writer without a name is then forgotten by the file, if nothing is in doubt.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await _appender.FlushAsync(CancellationToken.None).WaitAsync(_parts.Options.OperationTimeout, _parts.Time);
            if (Interlocked.Exchange(ref _retirement, null) is { } retirement)
                await retirement.RunAsync(_appender.Pipeline.Tail, _appender.Pipeline.KnownBallot);
        }
        catch (Exception e) when (e is SemelException or TimeoutException)
        {
            // The records' own tasks say what became of them.
        }
        _appender.Pipeline.Close();
        await _appender.Repeated.DisposeAsync();
    }
}
