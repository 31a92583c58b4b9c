using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Semel.Cli.Terminal;

/// <summary>Objects as one line of JSON with <c>snake_case</c> keys: the shapes are API.</summary>
internal static class JsonLine
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.Never,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static string Of<T>(T value) => JsonSerializer.Serialize(value, Options);

    public static byte[] Utf8Of<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value, Options);
}
