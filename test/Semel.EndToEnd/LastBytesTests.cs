using System.Diagnostics;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;

namespace Semel.EndToEnd;

/// <summary>Disks that lose or change the ends of files, before and under their servers; odd things where files should be.</summary>
public sealed class LastBytesTests : IDisposable
{
    private static readonly string Lines = string.Concat(Enumerable.Range(0, 80).Select(i => $"line {i}\n"));

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Layout => Path.Combine(_directory.Path, "layout");

    [Fact]
    public async Task One_bit_in_the_last_frame_on_the_server_that_starts_first_loses_nothing()
    {
        await using var cluster = await AppendedAsync();
        await StopAllAsync(cluster);
        string file = ChunkFile(server: 1);
        Change(file, stream =>
        {
            stream.Position = stream.Length - 9;
            int old = stream.ReadByte();
            stream.Position--;
            stream.WriteByte((byte)(old ^ 4));
        });

        await StartFirstAloneAsync(cluster);

        await IsAllThereAsync(cluster);
        Assert.Contains("is damaged", cluster.LastErrorsOf(1), StringComparison.Ordinal);
        await IsWholeAsync(cluster);
    }

    [Fact]
    public async Task A_replica_that_is_cut_at_a_frame_under_its_server_is_missed_when_all_start_again()
    {
        await using var cluster = await AppendedAsync();
        string file = ChunkFile(server: 1);
        Change(file, stream => stream.SetLength(LastFrameOf(stream)));
        await StopAllAsync(cluster);

        await StartFirstAloneAsync(cluster);

        await IsAllThereAsync(cluster);
        Assert.Contains("is damaged", cluster.LastErrorsOf(1), StringComparison.Ordinal);
        await IsWholeAsync(cluster);
    }

    [Fact]
    public async Task A_replica_that_becomes_shorter_under_its_server_is_found_by_a_reader_and_repaired()
    {
        await using var cluster = await AppendedAsync();
        Change(ChunkFile(server: 2), stream => stream.SetLength(LastFrameOf(stream)));

        var verify = await Shell.RunAsync("verify", "/log", "--master", cluster.Master);

        Assert.Equal(ExitCode.VerificationFailed, verify.ExitCode);
        Assert.Contains(cluster.AddressOf(2), verify.Error, StringComparison.Ordinal);
        await IsWholeAsync(cluster);
        Assert.Contains("is damaged", cluster.LastErrorsOf(2), StringComparison.Ordinal);
        await IsAllThereAsync(cluster);
    }

    /// <summary>A duplicate of the last frame: its bytes as they are. Or with its offset and chain and checksum made right.</summary>
    [Theory]
    [InlineData("frame", "chunk")]
    [InlineData("directory", "chunk")]
    [InlineData("pipe", "chunk")]
    [InlineData("directory", "meta")]
    [InlineData("pipe", "base")]
    public async Task One_odd_file_keeps_no_server_from_starting_and_is_repaired(string odd, string extension)
    {
        await using var cluster = await AppendedAsync();
        await cluster.StopAsync(1);
        string file = Path.ChangeExtension(ChunkFile(server: 1), extension);
        if (odd == "frame")
            Change(file, stream => AppendLastFrameAgain(stream));
        else
        {
            File.Delete(file);
            await MakeAsync(odd, file);
        }

        await cluster.StartAgainAsync(1);
        await IsWholeAsync(cluster);
        await cluster.StopAsync(1);
        await cluster.StartAgainAsync(1);

        await IsAllThereAsync(cluster);
        Assert.DoesNotContain("Invariant", cluster.LastErrorsOf(1), StringComparison.Ordinal);
        Assert.Equal("", cluster.LastErrorsOf(1));    // once is enough
        string quarantine = Path.Combine(_directory.Path, "chunkserver1", "quarantine");
        if (odd != "frame")
            Assert.Contains(Directory.EnumerateFileSystemEntries(quarantine), name => name.EndsWith("." + extension, StringComparison.Ordinal));
    }

    private async Task<YamlCluster> AppendedAsync()
    {
        var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, "repair_grace: 0s");
        var appended = await Shell.RunAsync(Lines, ["append", "/log", "--create", "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));
        await IsWholeAsync(cluster);
        return cluster;
    }

    private static async Task IsAllThereAsync(YamlCluster cluster)
    {
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master);
        Assert.Equal((ExitCode.Done, "", Lines), (read.ExitCode, read.Error, read.Output));
    }

    /// <summary>Waits for repairs. What is damaged is a violation at first, and being read has it repaired.</summary>
    private async Task IsWholeAsync(YamlCluster cluster)
    {
        long begin = TimeProvider.System.GetTimestamp();
        Shell.Result whole;
        do
        {
            whole = await Shell.RunAsync("verify", "/log", "--wait", "1m", "--manifest", Layout, "--master", cluster.Master);
            bool isOver = TimeProvider.System.GetElapsedTime(begin) > TimeSpan.FromMinutes(3);
            Assert.True(whole.ExitCode == ExitCode.Done || !isOver, whole.Error + whole.Output);
        }
        while (whole.ExitCode != ExitCode.Done);
    }

    private static async Task StopAllAsync(YamlCluster cluster)
    {
        for (int server = 1; server <= 3; server++)
            await cluster.StopAsync(server);
        await cluster.StopAsync(0);
    }

    /// <summary>
    /// The master and server 1; the others when the master has heard its report, was asked to go on with it alone, and did not.
    /// </summary>
    private static async Task StartFirstAloneAsync(YamlCluster cluster)
    {
        await cluster.StartAgainAsync(0);
        await cluster.StartAgainAsync(1);
        await cluster.UntilAsync(s => s.ChunkServers.Any(c => c is { IsAlive: true, Chunks: > 0 }));
        var refused = await Shell.RunAsync("never\n", ["append", "/log", "--timeout", "2s", "--master", cluster.Master]);
        Assert.Equal(ExitCode.Temporary, refused.ExitCode);
        await cluster.StartAgainAsync(2);
        await cluster.StartAgainAsync(3);
    }

    private string ChunkFile(int server)
    {
        string handle = new ManifestReader(Layout).Read().Last().Handle;
        return Path.Combine(_directory.Path, $"chunkserver{server}", "chunks", handle[^2..], $"{handle}.chunk");
    }

    private static void Change(string file, Action<FileStream> how)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        how(stream);
    }

    /// <summary>
    /// Where the last frame begins: after a header of 64 bytes comes a payload, of which bytes 8 to 11 say the length, up to a multiple of
    /// 8.
    /// </summary>
    private static long LastFrameOf(FileStream stream)
    {
        byte[] bytes = new byte[stream.Length];
        stream.Position = 0;
        stream.ReadExactly(bytes);
        long at = 0;
        for (long next = 0; next < bytes.Length; next = at + (64 + BitConverter.ToUInt32(bytes, (int)at + 8) + 7) / 8 * 8)
            at = next;
        return at;
    }

    /// <summary>The last frame once more, with its place, its chain and its checksum made right.</summary>
    private static void AppendLastFrameAgain(FileStream stream)
    {
        long at = LastFrameOf(stream);
        byte[] frame = new byte[stream.Length - at];
        stream.Position = at;
        stream.ReadExactly(frame);
        BitConverter.TryWriteBytes(frame.AsSpan(56), BitConverter.ToUInt32(frame, 0));
        BitConverter.TryWriteBytes(frame.AsSpan(20), (uint)stream.Length);
        BitConverter.TryWriteBytes(frame, Crc32C(frame.AsSpan(4, 60)));
        stream.Position = stream.Length;
        stream.Write(frame);
    }

    /// <summary>Bit by bit, and not the program's own.</summary>
    private static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
        }
        return ~crc;
    }

    private static async Task MakeAsync(string odd, string path)
    {
        if (odd == "directory")
            Directory.CreateDirectory(Path.Combine(path, "content"));
        else
        {
            using var pipe = Process.Start("mkfifo", path);
            await pipe.WaitForExitAsync();
            Assert.Equal(0, pipe.ExitCode);
        }
    }
}
