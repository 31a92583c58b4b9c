using System.Text.Json;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

public class UsageTests
{
    [Theory]
    [InlineData("frobnicate")]
    [InlineData("append")]
    [InlineData("up", "--port", "70000")]
    [InlineData("up", "--port", "many")]
    [InlineData("up", "--chunk-size", "1KiB")]
    [InlineData("up", "--chunkservers", "0")]
    [InlineData("ls", "/", "--timeout", "fast")]
    [InlineData("ls", "/", "--timeout", "0s")]
    [InlineData("ls", "/", "--master", "nowhere")]
    [InlineData("ls", "/", "--master", "localhost:99999")]
    [InlineData("ls", "relative")]
    [InlineData("stat", "/a/../b")]
    [InlineData("stat", "/a//b")]
    [InlineData("stat", "/a\0b")]
    [InlineData("records", "/a", "--from", "middle")]
    [InlineData("append", "/a", "--resume")]
    [InlineData("append", "/a", "--at-least-once", "--writer", "w")]
    [InlineData("append", "/a", "--whole", "--length-prefixed")]
    [InlineData("cat", "/a", "--raw", "--length-prefixed")]
    [InlineData("up", "--ephemeral", "--data", "x")]
    [InlineData("demo", "--records", "10000001")]
    [InlineData("verify")]
    [InlineData("verify", "/a", "--all")]
    [InlineData("verify", "relative")]
    [InlineData("verify", "/a", "--against-cluster")]
    [InlineData("verify", "/a", "--check-manifest", "m")]
    [InlineData("torture", "--faults", "kill,maim")]
    [InlineData("torture", "--seconds", "1")]
    [InlineData("torture", "--writers", "0")]
    [InlineData("completion", "cmd")]
    public async Task Wrong_usage_exits_2_with_a_message_and_no_output(params string[] arguments)
    {
        var result = await CommandLine.RunAsync(arguments);

        Assert.Equal(ExitCode.WrongUsage, result.ExitCode);
        Assert.StartsWith("semel: ", result.Error, StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }

    [Theory]
    [InlineData("stat", "/h")]
    [InlineData("stat", "/?")]
    [InlineData("rm", "/h")]
    [InlineData("append", "/h", "--writer", "@w")]
    [InlineData("verify", "/?")]
    public async Task What_other_programs_take_for_help_or_for_a_file_of_arguments_is_a_path_or_a_name(params string[] arguments)
    {
        var result = await CommandLine.RunAsync([.. arguments, "--master", "127.0.0.1:1", "--timeout", "200ms"]);

        Assert.NotEqual(ExitCode.Done, result.ExitCode);
        Assert.NotEqual(ExitCode.WrongUsage, result.ExitCode);
        Assert.DoesNotContain("Usage", result.Output, StringComparison.Ordinal);
        Assert.Contains("127.0.0.1:1", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--files", "9", "--writers", "8")]
    [InlineData("--records", "7", "--writers", "8")]
    [InlineData("--replicas", "4")]
    [InlineData("--replicas", "0")]
    [InlineData("--size", "17MiB")]
    [InlineData("--size", "300KiB", "--chunk-size", "1MiB")]
    [InlineData("--batch", "100000")]
    [InlineData("--batch", "60000", "--size", "1KiB", "--records", "1000000")]
    [InlineData("--batch", "100", "--records", "400", "--writers", "8")]
    [InlineData("--in-flight", "0")]
    [InlineData("--verify", "--no-verify")]
    [InlineData("--warm-up", "1s", "--no-warm-up")]
    [InlineData("--master", "127.0.0.1:1", "--chunkservers", "3")]
    [InlineData("--durability", "none")]
    [InlineData("--delivery", "sometimes")]
    [InlineData("--rate", "1000", "--in-flight", "8")]
    [InlineData("--known-writers", "9900", "--writers", "200")]
    [InlineData("--rate", "1", "--records", "1000000")]
    [InlineData("--rate", "0")]
    [InlineData("--runs", "0")]
    [InlineData("--duration", "1s", "--records", "10")]
    [InlineData("--duration", "0s")]
    [InlineData("--readers", "2")]
    public async Task Bench_refuses_options_that_make_no_sense_together(params string[] arguments)
    {
        var result = await CommandLine.RunAsync(["bench", "append", .. arguments]);

        Assert.Equal(ExitCode.WrongUsage, result.ExitCode);
        Assert.StartsWith("semel: ", result.Error, StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }

    [Theory]
    [InlineData("tail", "--size", "7")]
    [InlineData("tail", "--readers", "0")]
    [InlineData("tail", "--files", "2")]
    [InlineData("tail", "--duration", "1s")]
    [InlineData("tail", "--delivery", "at-least-once")]
    [InlineData("machine", "--records", "5")]
    [InlineData("machine", "--master", "127.0.0.1:1")]
    [InlineData("machine", "--warm-memory", "much")]
    public async Task Bench_of_tailing_and_of_the_machine_refuse_what_they_cannot_measure(params string[] arguments)
    {
        var result = await CommandLine.RunAsync(["bench", .. arguments]);

        Assert.Equal(ExitCode.WrongUsage, result.ExitCode);
        Assert.StartsWith("semel: ", result.Error, StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }

    [Fact]
    public async Task Help_names_every_verb_and_every_exit_code()
    {
        var result = await CommandLine.RunAsync("--help");

        Assert.Equal(ExitCode.Done, result.ExitCode);
        foreach (string verb in new[] { "up", "master", "chunkserver", "config", "demo", "append", "cat", "tail", "records", "ls", "mkdir", "rm", "stat", "cluster", "verify", "torture", "bench", "version", "completion" })
            Assert.Contains($"\n  {verb} ", result.Output.Replace("<", " <", StringComparison.Ordinal), StringComparison.Ordinal);
        foreach (string code in new[] { "0", "1", "2", "3", "4", "5", "6", "7", "8", "130", "143" })
            Assert.Contains($"\n  {code,-4} ", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Version_prints_one_JSON_object()
    {
        var result = await CommandLine.RunAsync("version", "--json");

        using var json = JsonDocument.Parse(result.Output);
        Assert.Matches(@"^\d+\.\d+\.\d+", json.RootElement.GetProperty("version").GetString());
        Assert.EndsWith("\n", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public async Task Completion_prints_a_script_for_the_shell(string shell)
    {
        var result = await CommandLine.RunAsync("completion", shell);

        Assert.Equal(ExitCode.Done, result.ExitCode);
        Assert.Contains("[suggest:", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_master_that_is_not_there_is_a_temporary_failure_that_names_it()
    {
        var result = await CommandLine.RunAsync("ls", "/", "--master", "127.0.0.1:1", "--timeout", "300ms");

        Assert.Equal(ExitCode.Temporary, result.ExitCode);
        Assert.Contains("127.0.0.1:1", result.Error, StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }
}
