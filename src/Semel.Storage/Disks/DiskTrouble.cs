namespace Semel.Storage.Disks;

/// <summary>What a failure to read says about the bytes that were to be read.</summary>
public enum DiskTrouble
{
    /// <summary>Nothing: the system lacks something at the moment (files, memory, a permission), or the file is being closed.</summary>
    Passing = 1,

    /// <summary>The device cannot give them (EIO and kin): who depends on them needs another copy.</summary>
    Device = 2,

    /// <summary>They are not there: no file, a shorter one, or something else in its place.</summary>
    Gone = 3,
}

public static class DiskTroubles
{
    // Of Linux; the base library hands them on as they are.
    private const int NotPermitted = 1, Interrupted = 4, TryAgain = 11, NoMemory = 12, NoAccess = 13, Busy = 16, TooManyInSystem = 23, TooManyInProcess = 24, TimedOut = 110;

    public static DiskTrouble Of(Exception failure) => failure switch
    {
        FileNotFoundException or DirectoryNotFoundException or OddFileException or EndOfStreamException => DiskTrouble.Gone,
        ObjectDisposedException or DiskFullException or UnauthorizedAccessException => DiskTrouble.Passing,
        IOException { InnerException: UnauthorizedAccessException } => DiskTrouble.Passing,
        IOException { HResult: NotPermitted or Interrupted or TryAgain or NoMemory or NoAccess or Busy or TooManyInSystem or TooManyInProcess or TimedOut } => DiskTrouble.Passing,
        _ => DiskTrouble.Device,
    };
}
