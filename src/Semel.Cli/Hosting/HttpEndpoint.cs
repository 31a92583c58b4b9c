using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Semel.Cli.Terminal;

namespace Semel.Cli.Hosting;

/// <summary>What a process tells over HTTP.</summary>
internal interface IProcessStatus
{
    /// <summary>Null when the process can do its work; else why not, for people.</summary>
    ValueTask<string?> FaultOfReadinessAsync(CancellationToken cancellation);

    /// <summary>The body of <c>/api/v1/status</c>: JSON.</summary>
    ValueTask<byte[]> StatusAsync(CancellationToken cancellation);
}

/// <summary>
/// HTTP for operators: <c>/healthz</c> (the process and every role in it live), <c>/readyz</c> (it can do its work), <c>/metrics</c>
/// (Prometheus text),
/// <c>/api/v1/status</c> (JSON), <c>/</c> (a page). Reads only; no file data.
/// </summary>
internal sealed class HttpEndpoint : IAsyncDisposable
{
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;
    private readonly PrometheusText _metrics;

    private HttpEndpoint(WebApplication application, PrometheusText metrics, string address)
    {
        _application = application;
        _metrics = metrics;
        Address = address;
    }

    /// <summary><c>host:port</c> with the real port.</summary>
    public string Address { get; }

    /// <exception cref="CommandException">The address cannot be listened on.</exception>
    public static async Task<HttpEndpoint> StartAsync(string address, int mostConnections, IProcessStatus status, CoreWatch cores, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = mostConnections;
            kestrel.Limits.MaxRequestBodySize = 64 * 1024;
            Listen(kestrel, address);
        });
        var application = builder.Build();
        var metrics = new PrometheusText();
        application.Run(context => AnswerAsync(context, status, cores, metrics, time));
        try
        {
            await application.StartAsync(cancellation);
        }
        catch (IOException e)
        {
            metrics.Dispose();
            await application.DisposeAsync();
            throw new CommandException(ExitCode.Conflict, $"HTTP cannot listen on {address}: {e.Message} Choose another address or port.", e);
        }
        var real = application.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First();
        return new HttpEndpoint(application, metrics, real.Replace("http://", "", StringComparison.Ordinal));
    }

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System);
        await _application.StopAsync(patience.Token);
        await _application.DisposeAsync();
        _metrics.Dispose();
    }

    private static void Listen(Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServerOptions kestrel, string address)
    {
        _ = Addresses.TrySplit(address, out string? host, out int port);
        if (host is "localhost")
            host = "127.0.0.1";
        if (host is "*" or "0.0.0.0")
            kestrel.Listen(IPAddress.Any, port);
        else if (IPAddress.TryParse(host, out var ip))
            kestrel.Listen(ip, port);
        else
            throw CommandException.Usage($"The HTTP address '{address}' needs an IP address or localhost as its host.");
    }

    private static async Task AnswerAsync(HttpContext context, IProcessStatus status, CoreWatch cores, PrometheusText metrics, TimeProvider time)
    {
        var response = context.Response;
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            response.Headers.Allow = "GET, HEAD";
            return;
        }
        response.Headers.CacheControl = "no-store";
        response.Headers.XContentTypeOptions = "nosniff";
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        await using var timer = time.CreateTimer(_ => patience.Cancel(), null, AnswerTime, Timeout.InfiniteTimeSpan);
        try
        {
            switch (context.Request.Path.Value)
            {
                case "/healthz":
                    await TextAsync(response, cores.Fault is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, (cores.Fault ?? "ok") + "\n");
                    break;
                case "/readyz":
                    string? fault = cores.Fault ?? await status.FaultOfReadinessAsync(patience.Token);
                    await TextAsync(response, fault is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, (fault ?? "ready") + "\n");
                    break;
                case "/metrics":
                    response.ContentType = PrometheusText.ContentType;
                    await response.WriteAsync(metrics.Write(), patience.Token);
                    break;
                case "/api/v1/status":
                    byte[] json = await status.StatusAsync(patience.Token);
                    response.ContentType = "application/json";
                    await response.Body.WriteAsync(json, patience.Token);
                    break;
                case "/":
                    response.ContentType = "text/html; charset=utf-8";
                    response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
                    await response.WriteAsync(StatusPage.Html, patience.Token);
                    break;
                default:
                    await TextAsync(response, StatusCodes.Status404NotFound, "Not found. There are /, /healthz, /readyz, /metrics and /api/v1/status.\n");
                    break;
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested && !response.HasStarted)
        {
            await TextAsync(response, StatusCodes.Status503ServiceUnavailable, "No answer in time.\n");
        }
    }

    private static async Task TextAsync(HttpResponse response, int code, string text)
    {
        response.StatusCode = code;
        response.ContentType = "text/plain; charset=utf-8";
        await response.WriteAsync(text);
    }
}
