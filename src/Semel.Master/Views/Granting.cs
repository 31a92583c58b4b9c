using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Views;

/// <summary>Tells a server that it is the primary of a chunk's last logged configuration.</summary>
internal sealed class Granting(MasterServices services, ServerRegistry servers)
{
    private const int Tries = 3;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Null: accepted. Otherwise why the configuration has no primary, and needs a successor. The configuration must be durable.</summary>
    /// <param name="chunk">Its primary is told.</param>
    /// <param name="seal">It shall end the chunk as soon as it can.</param>
    /// <param name="promise">What the primary answered to the promise of this version; null: it needed none.</param>
    /// <param name="byOperator">It serves with what it has, whatever it had once.</param>
    public async Task<string?> GrantAsync(Chunk chunk, bool seal, PromiseReply? promise, bool byOperator = false)
    {
        ulong version = chunk.Version;
        var primary = chunk.Primary;
        var request = new GrantRequest
        {
            MasterEpoch = services.State.Epoch,
            MasterNonce = services.State.Nonce,
            Handle = chunk.Handle.Value,
            CreationId = chunk.CreationId,
            Version = version,
            LeaseMs = (uint)services.Options.LeaseDuration.TotalMilliseconds,
            MinMembers = (uint)Math.Min(services.Options.MinMembers, chunk.File.Settings.Replicas),
            Seal = seal,
            Generation = services.State.Servers.TryGetValue(primary, out var admitted) ? admitted.Generation : 0,
            PromisedTail = promise?.Tail ?? 0,
            Unclean = byOperator || promise is { Suspect: true },
            OperatorDecided = byOperator,
            ServerId = primary.Value,
        };
        request.Members.AddRange(chunk.Members.Select(servers.Address));
        var link = services.Wire.LinkTo(servers.Get(primary).Address);
        string problem = "";
        for (int i = 0; i < Tries; i++)
        {
            if (i > 0)
                await Task.Delay(services.Jittered(Pause), services.Time, services.Stopping);
            if (chunk.IsGone || chunk.IsSealed || chunk.Version != version)
                return null;
            var result = await link.CallAsync(MessageKind.Grant, request, Payload.Empty, services.Options.CallTimeout, services.Stopping);
            result.Payload.Release();
            if (result.IsAnswered)
            {
                var reply = result.Answer<GrantReply>();
                return reply.Status == Status.Ok ? null : $"it answered {reply.Status}: {reply.Detail}";
            }
            problem = $"it did not answer ({result.Outcome}: {result.Detail})";
        }
        return problem;
    }
}
