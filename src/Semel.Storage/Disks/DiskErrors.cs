namespace Semel.Storage.Disks;

/// <summary>Tells a full disk apart from the other failures of a disk, by the system's number.</summary>
internal static class DiskErrors
{
    private const int NoSpace = 28;         // ENOSPC
    private const int QuotaExceeded = 122;  // EDQUOT
    private const int IsDirectory = 21;     // EISDIR
    private const int TooManyLinks = 40;    // ELOOP
    private const int LockedOnLinux = 11;   // EWOULDBLOCK
    private const int LockedOnMac = 35;
    private const int LockedOnWindows = unchecked((int)0x80070020);
    private const int WindowsDiskFull = unchecked((int)0x80070070);
    private const int WindowsHandleDiskFull = unchecked((int)0x80070027);

    public static IOException Of(int error, string message) =>
        IsFull(error) ? new DiskFullException(message) : error is IsDirectory or TooManyLinks ? new OddFileException(message) : new IOException(message, error);

    /// <summary>Of something that is not the file that it should be.</summary>
    public static OddFileException Odd(string path, string kind, Exception? inner = null) =>
        new($"{path} is {kind}, and should be a file. Move it away.", inner);

    /// <summary>The exception that <see cref="IDisk"/> promises for what the base library threw; null when it is that already.</summary>
    public static IOException? Translate(Exception exception, string path) => exception switch
    {
        DiskFullException => null,
        IOException io when IsFull(io.HResult) => new DiskFullException($"There is no space left for {path}. Free some on its device.", io),
        // The base library says the same of a directory in the place of a file.
        UnauthorizedAccessException when Directory.Exists(path) => Odd(path, "a directory", exception),
        IOException { HResult: TooManyLinks } io => Odd(path, "a symbolic link that leads to itself", io),
        UnauthorizedAccessException => new IOException($"No permission for {path}. Run as the user that owns it, or change its owner.", exception),
        _ => null,
    };

    /// <summary>Another process has the file open and does not share it.</summary>
    public static bool IsSharingViolation(IOException exception) =>
        exception.HResult == (OperatingSystem.IsWindows() ? LockedOnWindows : OperatingSystem.IsMacOS() ? LockedOnMac : LockedOnLinux);

    private static bool IsFull(int error) => error is NoSpace or QuotaExceeded or WindowsDiskFull or WindowsHandleDiskFull;
}
