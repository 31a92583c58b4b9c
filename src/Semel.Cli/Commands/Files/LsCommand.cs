using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Files;

/// <summary><c>semel ls PATH</c></summary>
internal static class LsCommand
{
    private sealed record Shape(string Name, string Path, string Type, ulong FileId, long Chunks, DateTimeOffset Created);

    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A directory.", DefaultValueFactory = _ => "/" };
        var isLong = new Option<bool>("--long", "-l") { Description = "Chunks, time of creation and name." };
        return run.Runs(new Command("ls", "List a directory.") { path, isLong }, async context =>
        {
            await using var client = context.Connect();
            await using var output = context.Streams.NewTextOutput();
            await foreach (var entry in client.ListAsync(context.Path(path), context.Cancellation))
            {
                string name = entry.IsDirectory ? entry.Name + "/" : entry.Name;
                if (context.Json)
                    output.WriteLine(JsonLine.Of(new Shape(entry.Name, entry.Path, entry.IsDirectory ? "directory" : "file", entry.FileId, entry.Chunks, entry.Created)));
                else if (context.Get(isLong))
                    output.WriteLine(FormattableString.Invariant($"{entry.Chunks,8}  {entry.Created.UtcDateTime:yyyy-MM-dd HH:mm:ss}  {name}"));
                else
                    output.WriteLine(name);
            }
        });
    }
}
