using Microsoft.Extensions.Logging;
using Semel.Protocol.Wires;

namespace Semel.Client.Cluster;

/// <summary>What everything in a client shares.</summary>
internal sealed class ClientParts(IWire wire, string master, SemelClientOptions options, TimeProvider time, Random random, ILoggerFactory loggers,
    SynchronizationContext? ambient)
{
    public IWire Wire { get; } = wire;
    public SemelClientOptions Options { get; } = options;
    public TimeProvider Time { get; } = time;
    public Signals Signals { get; } = new(ambient);
    public Jitter Jitter { get; } = new(random);
    public ILogger Logger { get; } = loggers.CreateLogger("Semel.Client");
    public MasterCalls Master => field ??= new MasterCalls(Wire.LinkTo(master), Options.OperationTimeout, Time, Jitter, Logger);
}
