using Microsoft.Extensions.Logging;
using Semel.Master.Identity;
using Semel.Master.OperationLog;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master;

/// <summary>
/// What every part of the master uses and none owns. All of it belongs to the master's one logical thread: a flow that awaited something must look again
/// at the state that it relied on.
/// </summary>
/// <param name="Standing">Whether this master may give anything away.</param>
/// <param name="Run">Lets a flow run beside the others; a failure that it does not handle stops the master.</param>
/// <param name="Stopping">Cancelled when the master stops.</param>
internal sealed record MasterServices(
    MasterOptions Options,
    MasterState State,
    OperationJournal Journal,
    Standing Standing,
    IWire Wire,
    TimeProvider Time,
    Random Random,
    ILogger Logger,
    Action<Task> Run,
    CancellationToken Stopping)
{
    public long Now => Time.GetTimestamp();

    public TimeSpan Since(long timestamp) => Time.GetElapsedTime(timestamp);

    public long TimestampsIn(TimeSpan time) => (long)(time.TotalSeconds * Time.TimestampFrequency);

    public long WallClockMs => Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Between half of the pause and all of it.</summary>
    public TimeSpan Jittered(TimeSpan pause) => pause * (0.5 + (Random.NextDouble() / 2));
}

/// <summary>What a call was refused with: a status, and for people what is wrong with which value and what to do.</summary>
internal readonly record struct Refusal(Status Status, string Detail)
{
    /// <summary>Not 0: the data directory is an older copy of itself, and had this generation.</summary>
    public ulong KnownGeneration { get; init; }
}
