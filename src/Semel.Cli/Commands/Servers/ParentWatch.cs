namespace Semel.Cli.Commands.Servers;

/// <summary>Lets a server end with the process that started it: its standard input ends then, even after SIGKILL.</summary>
internal static class ParentWatch
{
    /// <summary>A token that is cancelled by <paramref name="cancellation"/> or when the input ends.</summary>
    public static CancellationTokenSource WhileOpen(Stream input, CancellationToken cancellation)
    {
        var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // A thread, because the console's stream blocks.
        new Thread(() => Watch(input, stop)) { IsBackground = true, Name = "parent watch" }.Start();
        return stop;
    }

    private static void Watch(Stream input, CancellationTokenSource stop)
    {
        try
        {
            Span<byte> ignored = stackalloc byte[256];
            while (input.Read(ignored) > 0)
            {
            }
            stop.Cancel();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The server is stopping already.
        }
    }
}
