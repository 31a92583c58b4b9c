namespace Semel.Client;

/// <summary>
/// What the cluster could not do, and why. The message names the value that was wrong and what to do about it; programs look
/// at the type, <see cref="IsRetryable"/> and <see cref="InDoubt"/>, never at the text.
/// </summary>
public abstract class SemelException : IOException
{
    private protected SemelException(string message, Exception? inner = null) : base(message, inner) { }

    /// <summary>True when the same call may succeed later without anybody changing anything: the cluster is unreachable, overloaded or recovering.</summary>
    public virtual bool IsRetryable => false;

    /// <summary>
    /// True when what was asked may have been done, or may still be done. False when nothing was done and nothing will be.
    /// A record append in doubt is settled by repeating it under the same writer name and sequence.
    /// </summary>
    public virtual bool InDoubt => false;
}
