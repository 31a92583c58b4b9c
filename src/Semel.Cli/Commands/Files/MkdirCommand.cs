using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Files;

/// <summary><c>semel mkdir PATH</c></summary>
internal static class MkdirCommand
{
    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "The directory to make." };
        var parents = new Option<bool>("--parents", "-p") { Description = "Make missing directories on the way; an existing one is fine." };
        return run.Runs(new Command("mkdir", "Make a directory.") { path, parents }, async context =>
        {
            await using var client = context.Connect();
            await client.MakeDirectoryAsync(context.Path(path), context.Get(parents), context.Cancellation);
        });
    }
}
