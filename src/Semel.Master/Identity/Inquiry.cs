using Semel.Master.Servers;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Identity;

/// <summary>
/// Asks chunk servers which master they know: all of the log's at the start, before any of them may register (an older master must not be
/// taken for the right one by a server that was away meanwhile), and later those that have fallen silent, which may have found another
/// master.
/// </summary>
internal sealed class Inquiry(MasterServices services, ServerRegistry servers)
{
    private readonly SortedDictionary<ServerId, long?> _asked = [];     // null: under way
    private readonly Pulse _answered = new();

    /// <summary>Registrations wait no longer than this for those who do not answer: where nobody listens, that is known at once.</summary>
    private readonly TimeSpan _longestFirstRound = services.Options.DeadAfter / 2;
    private bool _isFirstRoundOver;

    /// <summary>Goes on until the master stops.</summary>
    public async Task RunAsync()
    {
        foreach (var server in servers.All.ToList())
            Ask(server);
        await FirstRoundAsync();
        _isFirstRoundOver = true;
        _answered.Fire();
        while (true)
        {
            await Task.Delay(services.Options.HeartbeatInterval, services.Time, services.Stopping);
            services.Standing.Decide();
            var pause = services.Standing.IsConfirmed ? services.Options.DeadAfter : services.Options.HeartbeatInterval;
            foreach (var server in servers.All.Where(s => !s.IsAlive).ToList())
            {
                if (!_asked.TryGetValue(server.Id, out long? at) || (at is { } then && services.Since(then) >= pause))
                    Ask(server);
            }
        }
    }

    /// <summary>Ends when every server has answered the first question, or had its time.</summary>
    public async Task FirstRoundOverAsync()
    {
        while (!_isFirstRoundOver)
            await _answered.WaitAsync(_longestFirstRound, services.Time, services.Stopping);
    }

    private async Task FirstRoundAsync()
    {
        long began = services.Now;
        while (_asked.Values.Any(at => at is null) && _longestFirstRound - services.Since(began) is var rest && rest > TimeSpan.Zero)
            await _answered.WaitAsync(rest, services.Time, services.Stopping);
    }

    private void Ask(KnownServer server)
    {
        _asked[server.Id] = null;
        services.Run(AskAsync(server));
    }

    private async Task AskAsync(KnownServer server)
    {
        string address = server.Address;
        var result = await services.Wire.LinkTo(address)
            .CallAsync(MessageKind.KnownMaster, new KnownMasterRequest { ServerId = server.Id.Value }, Payload.Empty, services.Options.CallTimeout, services.Stopping);
        result.Payload.Release();
        _asked[server.Id] = services.Now;
        if (result.IsAnswered && result.Answer<KnownMasterReply>() is { Status: Status.Ok } reply)
            Take(server, address, reply);
        else
            services.Standing.TakeObjection(server.Id, null);
        _answered.Fire();
    }

    private void Take(KnownServer server, string address, KnownMasterReply reply)
    {
        if (reply.ClusterId != services.State.ClusterId || reply.ServerId != server.Id.Value)
        {
            services.Standing.TakeReplaced(server.Id);
            if (reply.ClusterId != services.State.ClusterId)
                return;
        }
        var seen = new SeenMaster(reply.Epoch, reply.Nonce, reply.Position);
        if (seen.Epoch > IdRange.MaxEpoch || services.Standing.Examine(new ServerId(reply.ServerId), address, seen) is not null)
            return;
        bool isOurs = reply.HeardEpoch == services.State.Epoch && reply.HeardNonce == services.State.Nonce;
        bool hearsAnother = !isOurs && reply.HeardMs >= 0 && reply.HeardMs < services.Options.DeadAfter.TotalMilliseconds;
        services.Standing.TakeObjection(server.Id, hearsAnother
            ? $"chunk server {server.Id} at {address} heard from its master of epoch {reply.HeardEpoch} at {reply.MasterAddress} {reply.HeardMs} ms ago. If that is another one, stop it."
            : null);
    }
}
