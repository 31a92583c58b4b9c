using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Appending;

/// <summary>Refusals that nothing can change, in words for the caller.</summary>
internal static class AppendRefusal
{
    /// <summary>Null: the status says something else, or "not now".</summary>
    public static Func<SemelException>? CauseOf(AppendReply reply, TargetFile file, WriterId writer, uint epoch, int batchBytes)
    {
        string words = string.IsNullOrEmpty(reply.Detail) ? "" : " " + reply.Detail;
        return reply.Status switch
        {
            AppendStatus.UnknownWriter => () => new WriterExpiredException(
                $"The file {file.Path} has forgotten writer {writer}: it was idle for long, and the file needed its room. Open it again under another name.{words}"),
            AppendStatus.Fenced => () => new WriterFencedException(
                $"Writer {writer} of {file.Path} was opened again by somebody else; this incarnation (epoch {epoch}) appends no more. Let only one process use a writer name.{words}"),
            AppendStatus.OperationIdReused => () => new OperationIdReusedException(
                $"A sequence of writer {writer} in {file.Path} was used before for other bytes. Give a retry the same bytes.{words}"),
            AppendStatus.TooBig => () => new RecordTooLargeException("batch", batchBytes, ChunkLimits.MaxBatchPayload(file.ChunkCapacity)),
            AppendStatus.TooManyWriters => () => new TooManyWritersException(
                $"{file.Path} has as many writers as it may. Reuse writer names, or write to more files.{words}"),
            AppendStatus.Refused => () => new AppendRefusedException($"The primary of {file.Path} refused writer {writer}:{words}"),
            _ => null,
        };
    }
}
