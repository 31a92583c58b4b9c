using Semel.Cli.Terminal;
using Semel.Protocol.Identity;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>
/// Compares a manifest with the cluster: each chunk is still the same one, and each of its replicas begins with the bytes that were there. A file may have grown since.
/// </summary>
internal sealed class ManifestCheck(IWire wire, string master, TimeProvider time)
{
    private readonly ChunkMap _map = new(wire, master, time);
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
            {
                foreach (string server in chunk.Members.Select(m => m.Address))
                    await CompareAsync(line, handle, server, cancellation);
            }
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.NotFound)
        {
            Found(line, FindingKind.Corrupt, e.Message);
        }
    }

    private async Task CompareAsync(Manifest.ChunkLine line, ChunkHandle handle, string server, CancellationToken cancellation)
    {
        var content = await _reader.ReadAsync(server, handle, line.Length, null, cancellation);
        Replicas += content.Kind is FindingKind.Unread ? 0 : 1;
        if (content.Kind is { } kind)
            Found(line, kind, $"on {server}: {content.Fault}");
        else if (content.Digest != line.Sha256)
            Found(line, FindingKind.Divergent, $"on {server}: its first {line.Length} bytes have SHA-256 {content.Digest}, they had {line.Sha256}");
    }

    private void Found(Manifest.ChunkLine line, FindingKind kind, string what) =>
        Findings.Add(new Finding(kind, $"{line.Path}: chunk {line.Index} ({line.Handle}): {what}"));
}
