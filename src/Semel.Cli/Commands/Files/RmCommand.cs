using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Files;

/// <summary><c>semel rm PATH</c></summary>
internal static class RmCommand
{
    private sealed record Shape(string Path, long Deleted);

    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A file, or an empty directory." };
        var recursive = new Option<bool>("--recursive", "-r") { Description = "A directory with all that is in it." };
        return run.Runs(new Command("rm", "Delete a file or directory.") { path, recursive }, async context =>
        {
            await using var client = context.Connect();
            long deleted = await client.DeleteAsync(context.Path(path), context.Get(recursive), context.Cancellation);
            if (context.Json)
                context.Streams.WriteLine(JsonLine.Of(new Shape(context.Path(path), deleted)));
        });
    }
}
