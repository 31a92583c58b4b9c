using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Semel.Cli.Hosting;

/// <summary>
/// Collects the process's instruments (those of meters whose name begins with <c>Semel</c>, and the runtime's) and writes them in the Prometheus text
/// format 0.0.4. Counters end in <c>_total</c>; histograms have fixed buckets of powers of two.
/// </summary>
/// <remarks>An instrument may have at most <see cref="MaxSeries"/> combinations of labels; further ones are dropped.</remarks>
internal sealed class PrometheusText : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private const int MaxSeries = 1000;
    private const int Buckets = 32;

    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<Instrument, Family> _families = new();

    public PrometheusText()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name.StartsWith("Semel", StringComparison.Ordinal) || instrument.Meter.Name == "System.Runtime")
                listener.EnableMeasurementEvents(instrument, _families.GetOrAdd(instrument, i => new Family(i)));
        };
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<decimal>((_, value, tags, state) => ((Family)state!).Record((double)value, tags));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    /// <summary>What the instruments say now.</summary>
    public string Write()
    {
        _listener.RecordObservableInstruments();
        var text = new StringBuilder();
        foreach (var group in _families.Values.GroupBy(f => f.Name).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            group.First().WriteHead(text);
            foreach (var family in group)
                family.WriteSeries(text);
        }
        return text.ToString();
    }

    /// <summary>Upper bound of a histogram's bucket: 2^-20 (about a microsecond, in seconds) and doubling.</summary>
    internal static double UpperBound(int bucket) => Math.ScaleB(1, bucket - 20);

    /// <summary>One instrument with all its label combinations.</summary>
    private sealed class Family
    {
        private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);
        private readonly string _kind;
        private readonly string? _help;
        private readonly bool _isHistogram;
        private readonly bool _isAdded;

        public Family(Instrument instrument)
        {
            var type = instrument.GetType().GetGenericTypeDefinition();
            _isHistogram = type == typeof(Histogram<>);
            bool counter = type == typeof(Counter<>) || type == typeof(ObservableCounter<>);
            _isAdded = type == typeof(Counter<>) || type == typeof(UpDownCounter<>);
            _kind = _isHistogram ? "histogram" : counter ? "counter" : "gauge";
            _help = instrument.Description;
            Name = NameOf(instrument, counter);
        }

        public string Name { get; }

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string labels = tags.IsEmpty ? "" : LabelsOf(tags);
            if (!_series.TryGetValue(labels, out var series))
            {
                if (_series.Count >= MaxSeries)
                    return;
                series = _series.GetOrAdd(labels, _ => new Series(_isHistogram));
            }
            series.Record(value, _isAdded);
        }

        public void WriteHead(StringBuilder text)
        {
            if (!string.IsNullOrEmpty(_help))
                text.Append("# HELP ").Append(Name).Append(' ').Append(_help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('\n');
            text.Append("# TYPE ").Append(Name).Append(' ').Append(_kind).Append('\n');
        }

        public void WriteSeries(StringBuilder text)
        {
            foreach (var (labels, series) in _series.OrderBy(s => s.Key, StringComparer.Ordinal))
                series.Write(text, Name, labels);
        }

        private static string NameOf(Instrument instrument, bool counter)
        {
            var name = new StringBuilder();
            foreach (char c in instrument.Name)
                name.Append(char.IsAsciiLetterOrDigit(c) || c == ':' ? c : '_');
            string unit = instrument.Unit switch { "s" => "_seconds", "ms" => "_milliseconds", "By" => "_bytes", _ => "" };
            if (unit.Length > 0 && !name.ToString().EndsWith(unit, StringComparison.Ordinal))
                name.Append(unit);
            if (counter && !name.ToString().EndsWith("_total", StringComparison.Ordinal))
                name.Append("_total");
            return name.ToString();
        }

        private static string LabelsOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var labels = new StringBuilder();
            foreach (var (key, value) in tags)
            {
                if (labels.Length > 0)
                    labels.Append(',');
                foreach (char c in key)
                    labels.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
                labels.Append("=\"");
                foreach (char c in Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")
                    labels.Append(c switch { '\\' => "\\\\", '"' => "\\\"", '\n' => "\\n", _ => c.ToString() });
                labels.Append('"');
            }
            return labels.ToString();
        }
    }

    /// <summary>One combination of labels.</summary>
    private sealed class Series(bool isHistogram)
    {
        private readonly Lock _lock = new();   // guards everything below
        private readonly long[]? _buckets = isHistogram ? new long[Buckets + 1] : null;
        private double _value;
        private long _count;

        public void Record(double value, bool isAdded)
        {
            lock (_lock)
            {
                if (_buckets is null)
                {
                    _value = isAdded ? _value + value : value;
                    return;
                }
                int bucket = 0;
                while (bucket < Buckets && value > UpperBound(bucket))
                    bucket++;
                _buckets[bucket]++;
                _count++;
                _value += value;
            }
        }

        public void Write(StringBuilder text, string name, string labels)
        {
            lock (_lock)
            {
                if (_buckets is null)
                {
                    Line(text, name, labels, _value);
                    return;
                }
                string separator = labels.Length > 0 ? "," : "";
                long cumulative = 0;
                for (int bucket = 0; bucket < Buckets; bucket++)
                {
                    cumulative += _buckets[bucket];
                    Line(text, name + "_bucket", $"{labels}{separator}le=\"{Show(UpperBound(bucket))}\"", cumulative);
                }
                Line(text, name + "_bucket", $"{labels}{separator}le=\"+Inf\"", _count);
                Line(text, name + "_sum", labels, _value);
                Line(text, name + "_count", labels, _count);
            }
        }

        private static void Line(StringBuilder text, string name, string labels, double value)
        {
            text.Append(name);
            if (labels.Length > 0)
                text.Append('{').Append(labels).Append('}');
            text.Append(' ').Append(Show(value)).Append('\n');
        }

        private static string Show(double value) => value switch
        {
            double.PositiveInfinity => "+Inf",
            double.NegativeInfinity => "-Inf",
            _ => value.ToString("R", CultureInfo.InvariantCulture),
        };
    }
}
