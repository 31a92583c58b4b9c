using Semel.Protocol.Identity;

namespace Semel.Simulation.Checking;

/// <summary>The committed bytes of every replica of every chunk of a file, as its servers give them.</summary>
internal sealed record FileImage(string Path, IReadOnlyList<ChunkImage> Chunks);

internal sealed record ChunkImage(ChunkHandle Handle, ulong Index, bool IsSealed, IReadOnlyList<ReplicaImage> Replicas);

/// <param name="IsSettled">What it says of the end is fresh.</param>
/// <param name="Version">Of the view that it took part in last.</param>
internal sealed record ReplicaImage(string Server, byte[] Committed, bool IsSealed, bool IsSettled, ulong Version);
