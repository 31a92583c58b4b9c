using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

public sealed class DataDirectoryTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ListLogger _logger = new();

    public void Dispose() => _directory.Dispose();

    private async Task<DataDirectory> OpenAsync(ServerRole role = ServerRole.ChunkServer) =>
        await DataDirectory.OpenAsync(new RealDisk(_directory.Path), role, _logger);

    private string IdentityPath => _directory["identity"];

    [Fact]
    public async Task An_empty_directory_becomes_that_of_the_role_and_remembers_who_it_belongs_to()
    {
        using (var created = await OpenAsync())
        {
            Assert.Null(created.ClusterId);
            Assert.Null(created.ServerId);
            await created.SetIdentityAsync("cluster-a", null);
            await created.SetIdentityAsync("cluster-a", new ServerId(0xc0ffee));
            await created.SetIdentityAsync("cluster-a", new ServerId(0xc0ffee));
            await created.SetIdentityAsync("cluster-a", null);
        }

        using var again = await OpenAsync();

        Assert.Equal(ServerRole.ChunkServer, again.Role);
        Assert.Equal("cluster-a", again.ClusterId);
        Assert.Equal(new ServerId(0xc0ffee), again.ServerId);
        Assert.StartsWith(
            "semel data directory\nformat: 1\nrole: chunkserver\ncluster: cluster-a\nserver: 0000000000c0ffee\ncrc32c: ",
            File.ReadAllText(IdentityPath), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_role_is_refused()
    {
        (await OpenAsync(ServerRole.Master)).Dispose();

        var refusal = await Assert.ThrowsAsync<DataDirectoryException>(() => OpenAsync(ServerRole.ChunkServer));

        Assert.Contains("belongs to a master, and a chunkserver was started on it", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(_directory.Path, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_cluster_and_another_server_are_refused_and_change_nothing()
    {
        using var directory = await OpenAsync();
        await directory.SetIdentityAsync("cluster-a", new ServerId(1));
        var before = File.ReadAllText(IdentityPath);

        var cluster = await Assert.ThrowsAsync<DataDirectoryException>(async () => await directory.SetIdentityAsync("cluster-b", new ServerId(1)));
        var server = await Assert.ThrowsAsync<DataDirectoryException>(async () => await directory.SetIdentityAsync("cluster-a", new ServerId(2)));

        Assert.Contains("belongs to the cluster cluster-a, and this is the cluster cluster-b", cluster.Message, StringComparison.Ordinal);
        Assert.Contains("belongs to the server 0000000000000001", server.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(IdentityPath));
        Assert.Equal("cluster-a", directory.ClusterId);
    }

    [Fact]
    public async Task A_directory_in_use_is_refused_until_its_holder_closes_it()
    {
        var holder = await OpenAsync();

        var refusal = await Assert.ThrowsAsync<DirectoryInUseException>(() => OpenAsync());
        Assert.Contains("in use by another process", refusal.Message, StringComparison.Ordinal);

        holder.Dispose();
        (await OpenAsync()).Dispose();
    }

    [Fact]
    public async Task A_directory_with_other_peoples_files_is_refused_and_left_as_it_is()
    {
        File.WriteAllText(_directory["thesis.tex"], "years of work");

        var refusal = await Assert.ThrowsAsync<DataDirectoryException>(() => OpenAsync());

        Assert.Contains("'thesis.tex'", refusal.Message, StringComparison.Ordinal);
        Assert.Equal([_directory["thesis.tex"]], Directory.GetFileSystemEntries(_directory.Path));
    }

    [Fact]
    public async Task A_newer_format_is_refused_as_such()
    {
        File.WriteAllText(IdentityPath, "semel data directory\nformat: 2\nwhat: ever\n");

        var refusal = await Assert.ThrowsAsync<DataDirectoryException>(() => OpenAsync());

        Assert.Contains("has format 2", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("newer version", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_flipped_bit_and_every_cut_of_the_identity_is_refused()
    {
        using (var directory = await OpenAsync())
            await directory.SetIdentityAsync("cluster-a", new ServerId(1));
        var whole = File.ReadAllBytes(IdentityPath);

        for (int bit = 0; bit < whole.Length * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(DataDirectoryIdentity.TryRead(damaged, out _, out string? fault));
            Assert.NotEmpty(fault);
        }
        for (int length = 0; length < whole.Length; length++)
            Assert.False(DataDirectoryIdentity.TryRead(whole.AsSpan(0, length), out _, out _));

        File.WriteAllBytes(IdentityPath, whole[..^1]);
        await Assert.ThrowsAsync<DataDirectoryException>(() => OpenAsync());
    }

    [Fact]
    public void Values_with_a_right_checksum_are_checked_all_the_same()
    {
        foreach (string body in new[] { "role: king\n", "role: master\ncluster: \n", "role: chunkserver\nserver: xyz\n", "" })
        {
            string text = "semel data directory\nformat: 1\n" + body;
            text += $"crc32c: {Crc32C.Compute(System.Text.Encoding.ASCII.GetBytes(text)):x8}\n";

            Assert.False(DataDirectoryIdentity.TryRead(System.Text.Encoding.ASCII.GetBytes(text), out _, out _));
        }
    }

    [Fact]
    public async Task A_crash_while_the_identity_is_replaced_leaves_a_whole_one()
    {
        (await OpenAsync()).Dispose();
        File.WriteAllText(_directory["identity.tmp"], "half of a new o");

        using var directory = await OpenAsync();
        await directory.SetIdentityAsync("cluster-a", null);

        Assert.False(File.Exists(_directory["identity.tmp"]));
        Assert.Equal("cluster-a", directory.ClusterId);
    }

    [Theory]
    [InlineData("")]
    [InlineData("two\nlines")]
    [InlineData("a b")]
    [InlineData("ä")]
    public async Task A_cluster_id_that_the_file_cannot_hold_is_the_callers_mistake(string clusterId)
    {
        using var directory = await OpenAsync();

        await Assert.ThrowsAsync<ArgumentException>(async () => await directory.SetIdentityAsync(clusterId, null));
    }
}
