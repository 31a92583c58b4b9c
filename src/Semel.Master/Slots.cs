namespace Semel.Master;

/// <summary>Lets a bounded number of flows run at a time, in the order in which they came. Belongs to the master's logical thread.</summary>
internal sealed class Slots(int count)
{
    private readonly Queue<TaskCompletionSource> _waiting = new();
    private int _free = count;

    public Task TakeAsync()
    {
        if (_free > 0)
        {
            _free--;
            return Task.CompletedTask;
        }
        var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Enqueue(turn);
        return turn.Task;
    }

    public void Return()
    {
        if (_waiting.TryDequeue(out var next))
            next.SetResult();
        else
            _free++;
    }
}
