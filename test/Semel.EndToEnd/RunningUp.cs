using System.Text.Json;

namespace Semel.EndToEnd;

/// <summary>A running <c>semel up</c> on free ports.</summary>
internal sealed class RunningUp(Shell.RunningProcess process, string master) : IAsyncDisposable
{
    public string Master { get; } = master;

    public static async Task<RunningUp> StartAsync(string data, params string[] more)
    {
        var process = Shell.Begin(["up", "--port", "0", "--data", data, "--json", .. more]);
        using var shape = JsonDocument.Parse(await process.ReadLineAsync());
        Assert.Equal("ready", await process.ReadLineAsync());
        return new RunningUp(process, shape.RootElement.GetProperty("master").GetString()!);
    }

    public ValueTask DisposeAsync() => process.DisposeAsync();
}
