using System.Buffers.Binary;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Checking;

/// <summary>
/// A producer's records, by number: what they must contain can be computed again, so nothing but numbers has to be remembered, and a
/// second incarnation of a producer goes on with the same records.
/// </summary>
/// <param name="Seed">Of this producer alone.</param>
/// <param name="MaxLength">Of a record.</param>
internal sealed record RecordContent(ulong Seed, int MaxLength)
{
    public byte[] this[ulong sequence]
    {
        get
        {
            var random = new SimulatedRandom(Seed ^ sequence * 0x9E3779B97F4A7C15UL);
            int length = random.Below(16) switch
            {
                0 => 0,
                1 => MaxLength,
                < 6 => random.Below(MaxLength + 1),
                _ => random.Below(Math.Min(MaxLength, 300) + 1),
            };
            byte[] bytes = new byte[length];
            random.NextBytes(bytes.AsSpan(0, Math.Min(length, 64)));
            for (int i = 64; i < length; i++)
                bytes[i] = (byte)(bytes[i - 64] + 1);
            if (length >= 16)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, Seed);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), sequence);
            }
            return bytes;
        }
    }
}
