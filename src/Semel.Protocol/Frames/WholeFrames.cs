namespace Semel.Protocol.Frames;

/// <summary>Finds frame boundaries in bytes of a log whose first byte is one.</summary>
public static class WholeFrames
{
    /// <summary>Bytes of the frames that are wholly there.</summary>
    /// <param name="bytes">Begins with a frame.</param>
    /// <param name="next">Length of the first frame that is not wholly there; 0: none, or its header is not readable.</param>
    public static int Length(ReadOnlySpan<byte> bytes, out int next)
    {
        int whole = 0;
        next = 0;
        while (FrameHeader.TryRead(bytes[whole..], out var header, out _) && header.PayloadLength <= ChunkLimits.MaxCapacity)
        {
            int length = (int)header.FrameLength;
            if (length > bytes.Length - whole)
            {
                next = length;
                break;
            }
            whole += length;
        }
        return whole;
    }
}
