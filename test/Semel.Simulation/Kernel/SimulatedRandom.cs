using System.Buffers.Binary;

namespace Semel.Simulation.Kernel;

/// <summary>
/// Chance from a seed (splitmix64): the same seed gives the same numbers in every process, on every machine. Also given to the
/// parts under test as their <see cref="Random"/>.
/// </summary>
internal sealed class SimulatedRandom(ulong seed) : Random
{
    private ulong _state = seed;

    public ulong NextBits()
    {
        ulong z = _state += 0x9E3779B97F4A7C15UL;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ z >> 27) * 0x94D049BB133111EBUL;
        return z ^ z >> 31;
    }

    /// <summary>A stream of its own, so that what one part draws does not move what another gets.</summary>
    public SimulatedRandom Fork() => new(NextBits());

    /// <summary>0 .. <paramref name="bound"/>-1.</summary>
    public long Below(long bound) => (long)((UInt128)NextBits() * (ulong)bound >> 64);

    public int Below(int bound) => (int)Below((long)bound);

    /// <summary>True once in <paramref name="n"/> times; never when it is 0.</summary>
    public bool OneIn(int n) => n > 0 && Below((long)n) == 0;

    /// <summary>True with this probability.</summary>
    public bool Chance(double probability) => probability > 0 && NextDouble() < probability;

    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>Between the two, inclusive of the lower.</summary>
    public TimeSpan Between(TimeSpan low, TimeSpan high) => high <= low ? low : low + new TimeSpan(Below(high.Ticks - low.Ticks));

    public override int Next() => (int)Below((long)int.MaxValue);
    public override int Next(int maxValue) => (int)NextInt64(0, maxValue);
    public override int Next(int minValue, int maxValue) => (int)NextInt64(minValue, maxValue);
    public override long NextInt64() => Below(long.MaxValue);
    public override long NextInt64(long maxValue) => NextInt64(0, maxValue);

    public override long NextInt64(long minValue, long maxValue)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minValue, maxValue);
        ulong width = (ulong)maxValue - (ulong)minValue;
        return width == 0 ? minValue : (long)((ulong)minValue + (ulong)((UInt128)NextBits() * width >> 64));
    }

    public override double NextDouble() => (NextBits() >> 11) * (1.0 / (1UL << 53));
    public override float NextSingle() => (NextBits() >> 40) * (1.0f / (1 << 24));
    protected override double Sample() => NextDouble();
    public override void NextBytes(byte[] buffer) => NextBytes(buffer.AsSpan());

    public override void NextBytes(Span<byte> buffer)
    {
        for (; buffer.Length >= 8; buffer = buffer[8..])
            BinaryPrimitives.WriteUInt64LittleEndian(buffer, NextBits());
        for (ulong rest = buffer.IsEmpty ? 0 : NextBits(); !buffer.IsEmpty; buffer = buffer[1..], rest >>= 8)
            buffer[0] = (byte)rest;
    }
}
