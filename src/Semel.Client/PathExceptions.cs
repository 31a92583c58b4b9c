namespace Semel.Client;

/// <summary>Base of what can be wrong with a path.</summary>
public abstract class PathException : SemelException
{
    private protected PathException(string path, string message) : base(message) => Path = path;

    /// <summary>The path as it was given.</summary>
    public string Path { get; }
}

/// <summary>There is no such file or directory.</summary>
public sealed class PathNotFoundException : PathException
{
    internal PathNotFoundException(string path, string message) : base(path, message) { }
}

/// <summary>
/// The path is taken already, or by the other kind (a directory where a file is needed, a file with other settings), or a directory is not empty.
/// </summary>
public sealed class PathConflictException : PathException
{
    private readonly bool _inDoubt;

    internal PathConflictException(string path, string message, bool inDoubt = false) : base(path, message) => _inDoubt = inDoubt;

    /// <summary>True when an earlier attempt of the same call got no answer: the conflict may be with that attempt's own result.</summary>
    public override bool InDoubt => _inDoubt;
}

/// <summary>The path or one of the values given with it is not allowed; the message names the rule.</summary>
public sealed class InvalidPathException : PathException
{
    internal InvalidPathException(string path, string message) : base(path, message) { }
}

/// <summary>
/// A position was taken from another file: mostly the file that had this path before it was deleted and made anew. What to do: begin at
/// <see cref="RecordPosition.Start"/>, if the new file should be read; nothing of the old one is there any more.
/// </summary>
public sealed class PositionOfAnotherFileException : PathException
{
    internal PositionOfAnotherFileException(string path, RecordPosition position, ulong fileId)
        : base(path, $"The position {position} is of file {position.FileId}; {path} is file {fileId}: it was deleted and made anew, or the position was taken from another path. "
            + "Begin at 'start' to read this file.")
    {
        Position = position;
        FileId = fileId;
    }

    /// <summary>The position as it was given.</summary>
    public RecordPosition Position { get; }

    /// <summary>The file that the path is now.</summary>
    public ulong FileId { get; }
}

/// <summary>There is no such place in this file: no such chunk, no frame that begins there, or no such record in the frame.</summary>
public sealed class InvalidPositionException : PathException
{
    internal InvalidPositionException(string path, RecordPosition position, string message) : base(path, message) => Position = position;

    /// <summary>The position as it was given.</summary>
    public RecordPosition Position { get; }
}
