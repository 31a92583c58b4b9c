using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;

namespace Semel.Tests.Cli;

public sealed class ManifestTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Name => Path.Combine(_directory.Path, "manifest");

    [Fact]
    public void A_manifest_is_read_as_it_was_written()
    {
        string hash = Write();

        var reader = new ManifestReader(Name);
        var chunks = reader.Read().ToList();

        Assert.Equal(["/a", "/a", "/b"], chunks.Select(c => c.Path));
        Assert.Equal((2L, 3L, 60L, hash), (reader.Files, reader.Chunks, reader.Records, reader.Hash));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Every_changed_digit_of_every_line_is_found_and_the_line_named(int line)
    {
        string hash = Write();
        string[] lines = File.ReadAllLines(Name);
        string original = lines[line];
        for (int i = 0; i < original.Length; i++)
        {
            if (!char.IsAsciiDigit(original[i]))
                continue;
            lines[line] = original[..i] + (original[i] == '9' ? '8' : (char)(original[i] + 1)) + original[(i + 1)..];
            File.WriteAllText(Name, string.Join('\n', lines) + "\n");

            var fault = Assert.Throws<CommandException>(() => new ManifestReader(Name).Read().Count());

            Assert.Equal(ExitCode.VerificationFailed, fault.ExitCode);
            Assert.Matches($"line {line + 1}|line {line + 2}", fault.Message);
        }
        Assert.NotEqual("", hash);
    }

    [Fact]
    public void A_line_that_was_left_out_swapped_or_cut_off_is_found()
    {
        Write();
        string[] lines = File.ReadAllLines(Name);
        string[][] tampered =
        [
            [lines[0], lines[2], lines[3], lines[4]],
            [lines[0], lines[2], lines[1], lines[3], lines[4]],
            lines[..4],
            lines[..1],
            [.. lines, lines[4]],
            lines[1..],
            [],
        ];

        foreach (string[] text in tampered)
        {
            File.WriteAllLines(Name, text);
            Assert.Equal(ExitCode.VerificationFailed, Assert.Throws<CommandException>(() => new ManifestReader(Name).Read().Count()).ExitCode);
        }
    }

    [Fact]
    public void A_manifest_that_was_not_completed_leaves_no_file()
    {
        using (var writer = new ManifestWriter(Name, "cluster", DateTimeOffset.UnixEpoch))
            writer.Add(new AuditedChunk("/a", 0, 1, 100, new string('1', 64), 10));

        Assert.Empty(Directory.GetFiles(_directory.Path));
    }

    private string Write()
    {
        using var writer = new ManifestWriter(Name, "cluster", DateTimeOffset.UnixEpoch);
        writer.Add(new AuditedChunk("/a", 0, 1, 100, new string('1', 64), 10));
        writer.Add(new AuditedChunk("/a", 1, 2, 200, new string('2', 64), 20));
        writer.Add(new AuditedChunk("/b", 0, 3, 300, new string('3', 64), 30));
        return writer.Complete();
    }
}
