namespace Semel.Cli.Terminal;

/// <summary>One line on the person's terminal that is drawn anew five times a second. Draws nothing for programs.</summary>
internal sealed class ProgressLine : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly CommandContext _context;
    private readonly Func<string> _text;
    private readonly Lock _drawing = new();   // guards _drawn, _done and the terminal's line
    private readonly ITimer? _timer;
    private int _drawn;
    private bool _done;

    private ProgressLine(CommandContext context, Func<string> text)
    {
        _context = context;
        _text = text;
        if (context.ShowsProgress)
            _timer = context.Time.CreateTimer(_ => Draw(), null, Interval, Interval);
    }

    /// <param name="context">Where to draw.</param>
    /// <param name="text">What; called from a timer's thread.</param>
    public static ProgressLine Begin(CommandContext context, Func<string> text) => new(context, text);

    /// <summary>Removes the line.</summary>
    public void Dispose()
    {
        _timer?.Dispose();
        lock (_drawing)
        {
            if (_drawn > 0)
                _context.Streams.Error.Write("\r" + new string(' ', _drawn) + "\r");
            _done = true;
        }
    }

    private void Draw()
    {
        lock (_drawing)
        {
            if (_done)
                return;
            string text = _text();
            _context.Streams.Error.Write("\r" + text.PadRight(_drawn));
            _drawn = text.Length;
        }
    }
}
