using Semel.Cli.Terminal;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>
/// Compares a manifest with the cluster: each chunk is still the same one, and each of its replicas begins with the bytes that were there. A file may have grown since.
/// </summary>
internal sealed class ManifestCheck(IWire wire, string master, TimeProvider time, TimeSpan? patience = null)
{
    private const int Rereads = 10;

    private readonly ChunkMap _map = new(wire, master, time, patience);
    private readonly ReplicaReader _reader = new(wire, time);

    public long Replicas { get; private set; }
    public List<Finding> Findings { get; } = [];

    public async Task CompareAsync(Manifest.ChunkLine line, CancellationToken cancellation)
    {
        try
        {
            var (chunk, length) = await _map.SettleAsync(line.Path, await _map.LocateOneAsync(line.Path, line.Index, cancellation), cancellation);
            var handle = new ChunkHandle(chunk.Handle);
            if (handle.ToString() != line.Handle)
                Found(line, FindingKind.Divergent, $"it is chunk {handle}, it was {line.Handle}: the file is another one");
            else if (length < line.Length)
                Found(line, FindingKind.Divergent, $"{length} bytes are committed, there were {line.Length}");
            else
                await CompareAsync(line, chunk, cancellation);
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.NotFound)
        {
            Found(line, FindingKind.Corrupt, e.Message);
        }
    }

    private async Task CompareAsync(Manifest.ChunkLine line, ChunkLocation chunk, CancellationToken cancellation)
    {
        for (int reread = 0; ; reread++)
        {
            var findings = new List<Finding>();
            foreach (var server in chunk.Members)
            {
                if (await CompareAsync(line, new ChunkHandle(chunk.Handle), server, cancellation) is { } finding)
                    findings.Add(finding);
            }
            bool isConfirmed = false;
            if (findings.Any(f => f.Kind is FindingKind.Missing) && reread < Rereads)
            {
                (var again, isConfirmed) = await _map.LocateAgainAsync(line.Path, line.Index, findings, cancellation);
                if (again.Handle == chunk.Handle && !again.Members.ToHashSet().SetEquals(chunk.Members))
                {
                    chunk = again;
                    continue;
                }
            }
            Findings.AddRange(findings.Select(f => f.Settled(isConfirmed)));
            Replicas += chunk.Members.Count - findings.Count(f => f.Kind is FindingKind.Unread);
            return;
        }
    }

    private async Task<Finding?> CompareAsync(Manifest.ChunkLine line, ChunkHandle handle, ServerAddress server, CancellationToken cancellation)
    {
        var content = await _reader.ReadAsync(server, handle, line.Length, null, cancellation);
        return content switch
        {
            { Kind: { } kind } => Of(line, kind, $"on {server.Address}: {content.Fault}"),
            _ when content.Digest != line.Sha256 => Of(line, FindingKind.Divergent, $"on {server.Address}: its first {line.Length} bytes have SHA-256 {content.Digest}, they had {line.Sha256}"),
            _ => null,
        };
    }

    private void Found(Manifest.ChunkLine line, FindingKind kind, string what) => Findings.Add(Of(line, kind, what));

    private static Finding Of(Manifest.ChunkLine line, FindingKind kind, string what) => new(kind, $"{line.Path}: chunk {line.Index} ({line.Handle}): {what}");
}
