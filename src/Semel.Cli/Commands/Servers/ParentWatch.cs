namespace Semel.Cli.Commands.Servers;

/// <summary>Lets a server end with the process that started it: its standard input ends then, even after SIGKILL. Until then it may be told things, a line each.</summary>
internal static class ParentWatch
{
    /// <summary>A token that is cancelled by <paramref name="cancellation"/> or when the input ends.</summary>
    public static CancellationTokenSource WhileOpen(Stream input, Action<string>? onLine, CancellationToken cancellation)
    {
        var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // A thread, because the console's stream blocks.
        new Thread(() => Watch(input, onLine, stop)) { IsBackground = true, Name = "parent watch" }.Start();
        return stop;
    }

    private static void Watch(Stream input, Action<string>? onLine, CancellationTokenSource stop)
    {
        try
        {
            using var lines = new StreamReader(input);
            while (lines.ReadLine() is { } line)
                onLine?.Invoke(line);
            stop.Cancel();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The server is stopping already.
        }
    }
}
