using System.CommandLine;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;
using Semel.Client;
using Semel.Transport;

namespace Semel.Cli.Commands.Verify;

/// <summary><c>semel verify</c>: reads every replica of every chunk and says whether each record is there once, and the same everywhere.</summary>
internal static class VerifyCommand
{
    private sealed record FileShape(
        string Path, long Chunks, long Replicas, long Records, long Duplicates, long Gaps, long Corrupt, long Divergent, long Unread, string Verdict);

    private sealed record ManifestShape(
        string Manifest, long Files, long Chunks, long Records, long Replicas, long Corrupt, long Divergent, long Unread, string Hash, string Verdict);

    private const int MostShown = 100;
    private const string Intact = "intact";

    public static Command Create(VerbRunner run)
    {
        var paths = new Argument<string[]>("path") { Description = "Files.", Arity = ArgumentArity.ZeroOrMore };
        var all = new Option<bool>("--all") { Description = "Every file of the cluster." };
        var manifest = new Option<string?>("--manifest") { Description = "Write down what is in each chunk, as a chain of hashes that can be checked later.", HelpName = "FILE" };
        var check = new Option<string?>("--check-manifest") { Description = "Check that a manifest is as it was written. Asks no cluster.", HelpName = "FILE" };
        var against = new Option<bool>("--against-cluster") { Description = "With --check-manifest: compare it with every replica as well. Files may have grown." };
        var wait = Parsing.Duration(new Option<TimeSpan?>("--wait")
        {
            Description = "How long to wait for replicas that the cluster still has to make. Default: not at all.",
            HelpName = "DURATION",
        });
        var command = new Command("verify",
            "Read every replica of every chunk directly from its server: are they identical, do all checksums hold, is each record there once?")
        {
            paths, all, manifest, check, against, wait,
        };
        return run.Runs(command, async context =>
        {
            string[] given = context.Get(paths) ?? [];
            if (context.Get(check) is { } file)
            {
                if (given.Length > 0 || context.Get(all) || context.Get(manifest) is not null || context.Get(wait) is not null)
                    throw CommandException.Usage("--check-manifest says itself which files. Leave the paths, --all, --manifest and --wait out.");
                return await CheckManifestAsync(context, file, context.Get(against));
            }
            if (context.Get(against))
                throw CommandException.Usage("--against-cluster is for --check-manifest.");
            if (given.Length > 0 == context.Get(all))
                throw CommandException.Usage("Name files, or use --all.");
            foreach (string path in given)
                CommandContext.Checked(path);
            return await VerifyAsync(context, given, context.Get(manifest), context.Get(wait) ?? TimeSpan.Zero);
        });
    }

    private static async Task<int> VerifyAsync(CommandContext context, string[] given, string? manifestFile, TimeSpan patience)
    {
        await using var client = context.Connect();
        await using var wire = NewWire(context);
        using var manifest = manifestFile is null
            ? null
            : new ManifestWriter(manifestFile, (await client.GetClusterStatusAsync(context.Cancellation)).ClusterId, context.Time.GetUtcNow());
        if (!context.Json)
            context.Streams.WriteLine("  chunks  replicas     records  duplicates    gaps  corrupt  divergent  unread  verdict       path");
        int worst = ExitCode.Done;
        var ledger = new ClusterLedger();
        // For many files servers are asked once; for a few, about these alone.
        var map = new ChunkMap(wire, context.Master, context.Time, PatienceOf(context, patience));
        var held = given.Length > 0 ? null : await HeldCopies.ListAsync(wire, await map.ServersAsync(context.Cancellation), 0, context.Cancellation);
        await foreach (string path in given.Length > 0 ? given.ToAsyncEnumerable() : AllFilesAsync(client, context.Cancellation))
        {
            var result = await AuditAsync(context, wire, path, manifest, ledger, held, patience, mayBeGone: given.Length == 0);
            if (result is null)
                continue;
            foreach (var finding in result.Findings)
                context.Say($"{path}: {finding.Text}");
            Show(context, result);
            worst = Worse(worst, result);
        }
        if (manifest?.Complete() is { } hash)
            context.Say($"manifest in {manifestFile}, hash {hash}");
        return worst;
    }

    /// <summary>Null: the file was deleted since it was listed.</summary>
    private static async Task<AuditResult?> AuditAsync(
        CommandContext context, SocketWire wire, string path, ManifestWriter? manifest, ClusterLedger ledger, HeldCopies? held, TimeSpan patience, bool mayBeGone)
    {
        long done = 0, chunks = 0;
        var audit = new FileAudit(wire, context.Master, context.Time, PatienceOf(context, patience))
        {
            OnChunk = chunk => manifest?.Add(chunk),
            Progress = (d, of) => (done, chunks) = (d, of),
            RepairPatience = patience,
            Ledger = ledger,
            Held = held,
        };
        using var progress = ProgressLine.Begin(context, () => $"{path}: {done} of {chunks} chunks");
        try
        {
            return await audit.RunAsync(path, context.Cancellation);
        }
        catch (CommandException e) when (mayBeGone && e.ExitCode == ExitCode.NotFound)
        {
            return null;
        }
    }

    private static void Show(CommandContext context, AuditResult r) => context.Streams.WriteLine(context.Json
        ? JsonLine.Of(new FileShape(r.Path, r.Chunks, r.Replicas, r.Records, r.Duplicates, r.Gaps, r.Corrupt, r.Divergent, r.Unread, r.Verdict))
        : FormattableString.Invariant(
            $"{r.Chunks,8}  {r.Replicas,8}  {r.Records,10}  {r.Duplicates,10}  {r.Gaps,6}  {r.Corrupt,7}  {r.Divergent,9}  {r.Unread,6}  {r.Verdict,-12}  {r.Path}"));

    /// <summary>With the master, and with a chunk that has no primary; whoever waits for replicas waits for that, too.</summary>
    private static TimeSpan PatienceOf(CommandContext context, TimeSpan wait = default)
    {
        var patience = context.Timeout ?? TimeSpan.FromSeconds(30);
        return wait > patience ? wait : patience;
    }

    private static int Worse(int worst, AuditResult result) =>
        result.IsViolated || worst == ExitCode.VerificationFailed ? ExitCode.VerificationFailed : result.Unread > 0 ? ExitCode.Temporary : worst;

    private static async Task<int> CheckManifestAsync(CommandContext context, string file, bool againstCluster)
    {
        var manifest = new ManifestReader(file);
        await using var wire = NewWire(context);
        var check = new ManifestCheck(wire, context.Master, context.Time, PatienceOf(context));
        using (ProgressLine.Begin(context, () => $"{manifest.Chunks} chunks"))
        {
            foreach (var line in manifest.Read())
            {
                if (againstCluster)
                    await check.CompareAsync(line, context.Cancellation);
            }
        }
        foreach (var finding in check.Findings.Take(MostShown))
            context.Say(finding.Text);
        long corrupt = check.Findings.Count(f => f.Kind is FindingKind.Corrupt);
        long divergent = check.Findings.Count(f => f.Kind is FindingKind.Divergent);
        long unread = check.Findings.Count(f => f.Kind is FindingKind.Unread);
        string verdict = corrupt + divergent > 0 ? AuditResult.Violated : unread > 0 ? AuditResult.Incomplete : Intact;
        context.Streams.WriteLine(context.Json
            ? JsonLine.Of(new ManifestShape(file, manifest.Files, manifest.Chunks, manifest.Records, check.Replicas, corrupt, divergent, unread, manifest.Hash, verdict))
            : FormattableString.Invariant($"verdict: {verdict}: {manifest.Files} files, {manifest.Chunks} chunks, {manifest.Records} records")
                + (againstCluster ? FormattableString.Invariant($", compared with {check.Replicas} replicas") : "") + $"; hash {manifest.Hash}");
        return verdict switch
        {
            Intact => ExitCode.Done,
            AuditResult.Incomplete => ExitCode.Temporary,
            _ => ExitCode.VerificationFailed,
        };
    }

    private static async IAsyncEnumerable<string> AllFilesAsync(
        SemelClient client, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        var directories = new Stack<string>(["/"]);
        while (directories.TryPop(out string? directory))
        {
            var below = new List<string>();
            await foreach (var entry in client.ListAsync(directory, cancellation))
            {
                if (entry.IsDirectory)
                    below.Add(entry.Path);
                else
                    yield return entry.Path;
            }
            below.Reverse();
            below.ForEach(directories.Push);
        }
    }

    private static SocketWire NewWire(CommandContext context) =>
        new(new SocketWireOptions { Role = "client" }, context.Time, new Random(), NullLoggerFactory.Instance);
}
