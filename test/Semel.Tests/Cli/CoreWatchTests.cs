using Semel.Cli.Hosting;
using Semel.Cli.Terminal;
using Semel.Tests.Storage;
using Xunit;

namespace Semel.Tests.Cli;

/// <summary>A role whose core failed ends its process, whatever else happens in it.</summary>
public sealed class CoreWatchTests : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ListLogger _logger = new();
    private readonly CoreWatch _cores;

    public CoreWatchTests() => _cores = new CoreWatch(TimeProvider.System, _logger, _stop.Token) { ClosingTime = TimeSpan.Zero };

    public void Dispose() => _stop.Dispose();

    [Fact]
    public async Task A_core_that_failed_ends_the_process_also_when_what_it_leaves_behind_is_never_closed()
    {
        var core = new TaskCompletionSource();
        _cores.Watch("master", core.Task);
        var ending = _cores.UntilEndOfAsync(new TaskCompletionSource().Task);
        Assert.Null(_cores.Fault);

        core.SetException(new IOException("The disk is full."));
        var failure = await Assert.ThrowsAsync<CommandException>(() => ending);

        Assert.Equal((ExitCode.Failed, "The master failed: The disk is full."), (failure.ExitCode, failure.Message));
        Assert.Equal(failure.Message, _cores.Fault);
    }

    [Fact]
    public async Task What_closes_a_role_says_itself_why()
    {
        _cores.Watch("chunk server", Task.CompletedTask);

        var failure = await Assert.ThrowsAsync<CommandException>(() =>
            _cores.UntilEndOfAsync(Task.FromException(new CommandException(ExitCode.Conflict, "the master refuses it"))));

        Assert.Equal(ExitCode.Conflict, failure.ExitCode);
    }

    [Fact]
    public async Task A_core_that_ends_when_it_was_told_to_has_not_failed()
    {
        var core = new TaskCompletionSource();
        _cores.Watch("master", core.Task);

        _stop.Cancel();
        core.SetResult();
        await _cores.UntilEndOfAsync(core.Task);

        Assert.Null(_cores.Fault);
        Assert.Empty(_logger.Entries);
    }
}
