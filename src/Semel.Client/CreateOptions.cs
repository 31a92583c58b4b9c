namespace Semel.Client;

/// <summary>When a record that was acknowledged is safe. Fixed when the file is created.</summary>
public enum FileDurability
{
    /// <summary>On the disk (<c>fdatasync</c>) of every replica: survives the loss of all but one replica, and power loss of all of them.</summary>
    Group = 1,

    /// <summary>In the page cache of every replica: survives crashes of processes and the loss of all but one machine, not power loss of all replicas at once.</summary>
    Memory = 2,
}

/// <summary>How a file is created.</summary>
public sealed class CreateOptions
{
    /// <summary>Replicas of each chunk, on as many chunk servers. 1 to 8, or 0 (default): what the cluster is configured for.</summary>
    public int Replicas { get; set; }

    /// <summary>When an acknowledged record is safe. Default <see cref="FileDurability.Group"/>.</summary>
    public FileDurability Durability { get; set; } = FileDurability.Group;

    /// <summary>Make missing directories on the way. Default false.</summary>
    public bool CreateParents { get; set; }

    /// <summary>A file that exists with the same settings is fine. Default false: it is a <see cref="PathConflictException"/>.</summary>
    public bool OpenIfExists { get; set; }

    internal void Validate()
    {
        Options.InRange(Replicas, 0, 8, nameof(Replicas));
        if (!Enum.IsDefined(Durability))
            throw new ArgumentOutOfRangeException(nameof(Durability), Durability, $"Durability is {(int)Durability}; it must be Group or Memory.");
    }
}
