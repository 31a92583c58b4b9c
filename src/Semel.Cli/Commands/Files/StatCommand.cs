using System.CommandLine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Files;

/// <summary><c>semel stat PATH</c></summary>
internal static class StatCommand
{
    private sealed record FileShape(
        string Path, string Type, ulong FileId, int Replicas, string Durability, long ChunkCapacity, long Chunks, long SealedBytes, int Writers, DateTimeOffset Created);

    private sealed record DirectoryShape(string Path, string Type, DateTimeOffset Created);

    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A file or directory." };
        return run.Runs(new Command("stat", "Show what the master knows of a file or directory.") { path }, async context =>
        {
            await using var client = context.Connect();
            var status = await client.StatAsync(context.Path(path), context.Cancellation);
            if (context.Json)
                context.Streams.WriteLine(status.IsDirectory ? JsonLine.Of(new DirectoryShape(status.Path, "directory", status.Created)) : JsonLine.Of(Of(status)));
            else
                context.Streams.WriteLine(Text(status));
        });
    }

    private static FileShape Of(FileStatus s) => new(
        s.Path, "file", s.FileId, s.Replicas, s.Durability.ToString().ToLowerInvariant(), s.ChunkCapacity, s.Chunks, s.SealedBytes, s.Writers, s.Created);

    private static string Text(FileStatus s) => s.IsDirectory
        ? FormattableString.Invariant($"{s.Path}  directory, created {s.Created.UtcDateTime:yyyy-MM-dd HH:mm:ss}Z")
        : FormattableString.Invariant($"""
            {s.Path}  file {s.FileId}, created {s.Created.UtcDateTime:yyyy-MM-dd HH:mm:ss}Z
              durability  {s.Durability.ToString().ToLowerInvariant()}, {s.Replicas} replicas
              chunks      {s.Chunks} of {Quantities.ShowSize(s.ChunkCapacity)}; {Quantities.Approximate(s.SealedBytes)} in sealed ones
              writers     {s.Writers}
            """);
}
