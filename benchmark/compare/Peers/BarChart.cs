using System.Globalization;
using System.Net;
using System.Text;

namespace Semel.Peers;

/// <summary>Records per second as bars, a peer's and Semel's side by side; each work has its own scale.</summary>
internal static class BarChart
{
    private const int LabelWidth = 330, BarWidth = 420, Width = LabelWidth + BarWidth + 170, BarHeight = 16, PairHeight = 58, Top = 46;

    public static string Of(Comparison comparison)
    {
        var pairs = comparison.Pairs.Where(p => p.Peer is not null).ToList();
        int height = Top + pairs.Count * PairHeight + 20;
        var svg = new StringBuilder();
        svg.AppendLine(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" font-family=\"sans-serif\" font-size=\"13\">");
        svg.AppendLine(CultureInfo.InvariantCulture, $"<rect width=\"{Width}\" height=\"{height}\" fill=\"white\"/>");
        svg.AppendLine("<text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">Acknowledged records per second, three replicas, one machine</text>");
        for (int i = 0; i < pairs.Count; i++)
        {
            var (peer, semel) = (pairs[i].Peer!, pairs[i].Semel);
            int y = Top + i * PairHeight;
            double most = Math.Max(peer.RecordsPerS.Max, semel.RecordsPerS.Max);
            svg.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"12\" y=\"{y + 22}\">{WebUtility.HtmlEncode(pairs[i].Work)}</text>");
            Bar(svg, y + 4, peer, most, "#9aa5b1");
            Bar(svg, y + 6 + BarHeight, semel, most, "#1f6feb");
        }
        return svg.AppendLine("</svg>").ToString();
    }

    private static void Bar(StringBuilder svg, int y, Measured measured, double most, string colour)
    {
        double Scale(double value) => Math.Round(value / most * BarWidth, 1);
        double middle = y + BarHeight / 2.0;
        var (median, min, max) = measured.RecordsPerS;
        svg.AppendLine(CultureInfo.InvariantCulture, $"<rect x=\"{LabelWidth}\" y=\"{y}\" width=\"{Scale(median)}\" height=\"{BarHeight}\" fill=\"{colour}\"/>");
        svg.AppendLine(CultureInfo.InvariantCulture, $"<line x1=\"{LabelWidth + Scale(min)}\" x2=\"{LabelWidth + Scale(max)}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"black\"/>");
        svg.AppendLine(CultureInfo.InvariantCulture,
            $"<text x=\"{LabelWidth + Scale(max) + 6}\" y=\"{y + 13}\">{WebUtility.HtmlEncode(measured.System)} {median:N0}</text>");
    }
}
