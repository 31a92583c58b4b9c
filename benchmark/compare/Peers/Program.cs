using System.Globalization;
using System.Text.Json;
using Semel.Peers;

// peers load rabbitmq|nats|redis|ceph|moosefs key=value...   one line of JSON, or a message and exit code 1
// peers report RESULTS.jsonl DIRECTORY                       results.md, results.json and results.svg
return args switch
{
    ["load", var peer, .. var settings] => Load(peer, settings),
    ["report", var results, var directory] => Report(results, directory),
    _ => Usage(),
};

static int Load(string peer, string[] settings)
{
    var given = settings.Select(s => s.Split('=', 2)).ToDictionary(s => s[0], s => s[1]);
    var shape = new LoadShape(
        Number("clients", 8), Number("size", 100), Number("window", 1), Number("batch", 1),
        TimeSpan.FromSeconds(Number("warm-up", 2)), TimeSpan.FromSeconds(Number("seconds", 5)), Numbers("ports"), Texts("mounts"), Numbers("pids"));
    Func<IPeer>? makePeer = peer switch
    {
        "rabbitmq" => () => new RabbitMqStreams(shape),
        "nats" => () => new NatsJetStream(shape),
        "redis" => () => new RedisStream(shape),
        "ceph" => () => new CephRados(shape),
        "moosefs" => () => new MooseFsFile(shape),
        _ => null,
    };
    if (makePeer is null)
        return Usage();
    try
    {
        Console.WriteLine(JsonSerializer.Serialize(PeerLoad.Run(peer, makePeer, shape), Comparison.Json));
        return 0;
    }
    catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
    {
        Console.Error.WriteLine($"{peer}: {e.Message}");
        return 1;
    }

    int Number(string key, int fallback) => given.TryGetValue(key, out string? text) ? int.Parse(text, CultureInfo.InvariantCulture) : fallback;
    string[] Texts(string key) => given.GetValueOrDefault(key, "").Split(',', StringSplitOptions.RemoveEmptyEntries);
    int[] Numbers(string key) => [.. Texts(key).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
}

static int Report(string results, string directory)
{
    var comparison = Comparison.Read(File.ReadLines(results));
    File.WriteAllText(Path.Combine(directory, "results.md"), comparison.ToMarkdown());
    File.WriteAllText(Path.Combine(directory, "results.json"), comparison.ToJson());
    File.WriteAllText(Path.Combine(directory, "results.svg"), BarChart.Of(comparison));
    Console.Write(comparison.ToMarkdown());
    return 0;
}

static int Usage()
{
    Console.Error.WriteLine("usage: peers load rabbitmq|nats|redis|ceph|moosefs key=value... | peers report RESULTS.jsonl DIRECTORY");
    return 2;
}
