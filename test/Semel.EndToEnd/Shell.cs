using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Semel.Cli.Clusters;

namespace Semel.EndToEnd;

/// <summary>Runs <c>semel</c> as a process of its own, as a shell does.</summary>
internal static class Shell
{
    internal sealed record Result(int ExitCode, string Output, string Error)
    {
        public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Longer than anything takes here; a test that reaches it has failed.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    public static Task<Result> RunAsync(params string[] arguments) => RunAsync("", arguments);

    public static async Task<Result> RunAsync(string input, string[] arguments)
    {
        await using var process = Begin(arguments);
        await process.Input.WriteAsync(input);
        process.Input.Close();
        return await process.EndAsync();
    }

    public static RunningProcess Begin(params string[] arguments) => Begin(null, arguments);

    /// <param name="variable">One more for its environment; ours stays as it is, which other tests share.</param>
    public static RunningProcess Begin((string Name, string Value)? variable, params string[] arguments)
    {
        var start = OwnProgram.Start(arguments);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        start.StandardInputEncoding = start.StandardOutputEncoding = start.StandardErrorEncoding = new UTF8Encoding(false);
        foreach (string name in Environment.GetEnvironmentVariables().Keys.Cast<string>().Where(v => v.StartsWith("SEMEL_", StringComparison.Ordinal)))
            start.Environment.Remove(name);
        if (variable is var (added, value))
            start.Environment[added] = value;
        return new RunningProcess(Process.Start(start)!, Patience);
    }

    /// <summary>A process that this test started; disposing it kills it.</summary>
    internal sealed class RunningProcess : IAsyncDisposable
    {
        private readonly Process _process;
        private readonly CancellationTokenSource _patience;
        private readonly Task<string> _error;
        private bool _outputClosed;
        private bool _disposed;

        public RunningProcess(Process process, TimeSpan patience)
        {
            _process = process;
            _patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            _patience.CancelAfter(patience);
            _error = process.StandardError.ReadToEndAsync(_patience.Token);
        }

        public int Id => _process.Id;
        public StreamWriter Input => _process.StandardInput;

        public async Task<string> ReadLineAsync() =>
            await _process.StandardOutput.ReadLineAsync(_patience.Token) ?? throw new InvalidOperationException($"It ended. {await _error}");

        /// <summary>Reads lines up to one that satisfies the condition, and returns all of them.</summary>
        public async Task<List<string>> ReadUntilAsync(Func<string, bool> isLast)
        {
            var lines = new List<string>();
            do
                lines.Add(await ReadLineAsync());
            while (!isLast(lines[^1]));
            return lines;
        }

        public void Interrupt() => Assert.Equal(0, Kill(_process.Id, 2));

        public void Terminate() => Assert.Equal(0, Kill(_process.Id, 15));

        public void CloseOutput()
        {
            _outputClosed = true;
            _process.StandardOutput.Close();
        }

        /// <summary>Waits for its end.</summary>
        public async Task<Result> EndAsync()
        {
            string output = _outputClosed ? "" : await _process.StandardOutput.ReadToEndAsync(_patience.Token);
            await _process.WaitForExitAsync(_patience.Token);
            return new Result(_process.ExitCode, output, await _error);
        }

        public async Task KillAsync()
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        /// <summary>Kills it if it still runs. May be called again.</summary>
        public async ValueTask DisposeAsync()
        {
            if (_disposed)
                return;
            _disposed = true;
            if (!_process.HasExited)
                await KillAsync();
            _process.Dispose();
            _patience.Dispose();
        }

        [DllImport("libc", EntryPoint = "kill")]
        private static extern int Kill(int pid, int signal);
    }
}
