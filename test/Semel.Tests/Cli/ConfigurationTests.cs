using System.Reflection;
using Semel.ChunkServer;
using Semel.Cli.Configuration;
using Semel.Cli.Terminal;
using Semel.Master;
using Semel.Tests.House;

namespace Semel.Tests.Cli;

public sealed class ConfigurationTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void An_unknown_key_is_refused_with_its_place_and_the_nearest_known_one()
    {
        var fault = FaultOf("data: /tmp/x\nchunk_sise: 1MiB\n");

        Assert.Equal($"{_file}:2: there is no key 'chunk_sise' for a master. Did you mean 'chunk_size'?", fault);
    }

    [Fact]
    public void All_faults_are_reported_at_once_each_with_its_place()
    {
        var faults = FaultOf("chunk_size: 1KiB\nreplicas: three\nlog_level: loud\nbind: localhost:77777\ndta: x\n").Split('\n');

        Assert.Equal(5, faults.Length);
        for (int i = 0; i < faults.Length; i++)
            Assert.StartsWith($"{_file}:{i + 1}: ", faults[i], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("replicas: [1, 2]")]
    [InlineData("replicas: {a: 1}")]
    [InlineData("replicas: 2\nreplicas: 3")]
    [InlineData("- replicas")]
    [InlineData("replicas: 2\n---\nreplicas: 3")]
    [InlineData("replicas: \"2")]
    [InlineData("replicas: *nothing")]
    public void Anything_but_keys_with_plain_values_is_refused_with_its_place(string yaml)
    {
        Assert.StartsWith($"{_file}:", FaultOf(yaml), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("# only a comment\n")]
    [InlineData("---\n...\n")]
    public void An_empty_file_leaves_the_defaults(string yaml)
    {
        var settings = Load(yaml);

        Assert.Equal(new MasterOptions().Replicas, settings.Master.Replicas);
    }

    [Fact]
    public void A_file_that_is_not_there_is_a_usage_error_that_names_it()
    {
        var e = Assert.Throws<CommandException>(() => MasterSettings.Schema.Load("/no/such.yaml", _ => null, []));

        Assert.Equal(ExitCode.WrongUsage, e.ExitCode);
        Assert.Contains("/no/such.yaml", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Flags_are_above_the_environment_above_the_file_above_the_defaults()
    {
        File.WriteAllText(_file, "http: 127.0.0.1:1\ndata: file\nbind: 127.0.0.1:1\n");
        var environment = new Dictionary<string, string?> { ["SEMEL_DATA"] = "environment", ["SEMEL_BIND"] = "127.0.0.1:2" };

        var settings = MasterSettings.Schema.Load(_file, environment.GetValueOrDefault, [("bind", "127.0.0.1:3", "--bind")]);

        Assert.Equal(new MasterOptions().Replicas, settings.Master.Replicas);
        Assert.Equal("127.0.0.1:1", settings.Http);
        Assert.Equal("environment", settings.Data);
        Assert.Equal("127.0.0.1:3", settings.Master.BindAddress);
    }

    [Fact]
    public void A_fault_in_the_environment_names_the_variable()
    {
        var e = Assert.Throws<CommandException>(() => MasterSettings.Schema.Load(null, name => name == "SEMEL_REPLICAS" ? "99" : null, []));

        Assert.StartsWith("SEMEL_REPLICAS: 99 is out of range", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_shown_reads_back_as_the_same()
    {
        var settings = Load("chunk_size: 2MiB\nreplicas: 5\nlog_format: json\n");

        string shown = MasterSettings.Schema.Show(settings);

        Assert.Equal(shown, MasterSettings.Schema.Show(Load(shown)));
        Assert.Contains("chunk_size: 2MiB\n", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Config_check_exits_2_on_a_fault_and_0_on_none()
    {
        File.WriteAllText(_file, "hartbeat_interval: 1s\n");
        var bad = await CommandLine.RunAsync("config", "check", "chunkserver", "--config", _file);
        File.WriteAllText(_file, "heartbeat_interval: 1s\n");
        var good = await CommandLine.RunAsync("config", "check", "chunkserver", "--config", _file);

        Assert.Equal(ExitCode.WrongUsage, bad.ExitCode);
        Assert.Contains("Did you mean 'heartbeat_interval'?", bad.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, good.ExitCode);
    }

    [Theory]
    [InlineData("master")]
    [InlineData("chunkserver")]
    public async Task The_example_with_every_comment_removed_is_a_configuration(string role)
    {
        string example = (await CommandLine.RunAsync("config", "example", role)).Output;
        string withValues = string.Join('\n', example.Split('\n').Where(l => l.StartsWith("# ", StringComparison.Ordinal) && l[2..].Split(':')[0].All(c => char.IsAsciiLetterLower(c) || c == '_') && !l.EndsWith(':')).Select(l => l[2..]));
        File.WriteAllText(_file, withValues);

        var checkedAgain = await CommandLine.RunAsync("config", "check", role, "--config", _file);

        Assert.Equal("", checkedAgain.Error);
        Assert.Equal(ExitCode.Done, checkedAgain.ExitCode);
    }

    [Fact]
    public void Every_option_of_a_server_has_a_key()
    {
        AssertAllSettable<MasterOptions, MasterSettings>(MasterSettings.Schema);
        AssertAllSettable<ChunkServerOptions, ChunkServerSettings>(ChunkServerSettings.Schema);
    }

    [Fact]
    public void The_documentation_has_the_tables_that_the_program_has()
    {
        string documentation = File.ReadAllText(Path.Combine(Repository.Root, "docs", "configuration.md"));

        Assert.Contains(MasterSettings.Schema.DocumentationTable(), documentation, StringComparison.Ordinal);
        Assert.Contains(ChunkServerSettings.Schema.DocumentationTable(), documentation, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "abc", 3)]
    [InlineData("abc", "abc", 0)]
    [InlineData("abc", "acb", 1)]
    [InlineData("kitten", "sitting", 3)]
    public void Distance_counts_the_edits(string a, string b, int expected) => Assert.Equal(expected, NearestName.Distance(a, b));

    private static void AssertAllSettable<TOptions, TRole>(RoleSchema<TRole> schema) where TRole : new()
    {
        var keys = schema.Settings.Select(s => s.PropertyName).ToHashSet();
        Assert.All(typeof(TOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.SetMethod is { IsPublic: true }),
            property => Assert.Contains(property.Name, keys));
    }

    private MasterSettings Load(string yaml)
    {
        File.WriteAllText(_file, yaml);
        return MasterSettings.Schema.Load(_file, _ => null, []);
    }

    private string FaultOf(string yaml)
    {
        var e = Assert.Throws<CommandException>(() => Load(yaml));
        Assert.Equal(ExitCode.WrongUsage, e.ExitCode);
        return e.Message;
    }
}
