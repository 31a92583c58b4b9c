using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Semel.Protocol;

/// <summary>
/// Conditions that only a bug of ours can break. They are checked in Release builds too: a server that stops loses
/// nothing that it acknowledged, a server that goes on wrong may.
/// </summary>
public static class Invariant
{
    /// <summary>Stops the current operation with <see cref="InvariantViolationException"/> when <paramref name="condition"/> is false.</summary>
    public static void Holds(
        [DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string? text = null,
        [CallerFilePath] string? file = null,
        [CallerLineNumber] int line = 0)
    {
        if (!condition)
            throw new InvariantViolationException($"Invariant broken: {text} ({Path.GetFileName(file)}:{line}). This is a bug in Semel.");
    }
}

/// <summary>A bug of ours was met. Whoever owns the state that is involved must stop using it.</summary>
public sealed class InvariantViolationException(string message) : Exception(message);
