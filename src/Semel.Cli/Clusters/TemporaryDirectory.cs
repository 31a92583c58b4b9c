namespace Semel.Cli.Clusters;

/// <summary>A fresh directory, removed with all that is in it when disposed, unless it is to be kept.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("semel-").FullName;

    /// <summary>It stays: somebody wants to look at it.</summary>
    public bool IsKept { get; set; }

    public void Dispose()
    {
        if (IsKept)
            return;
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
        }
    }
}
