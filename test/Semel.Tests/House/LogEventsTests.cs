using System.Reflection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Semel.Tests.House;

/// <summary>An event id names one log line for ever; its thousands say who wrote it.</summary>
public sealed class LogEventsTests
{
    private static readonly Dictionary<string, int> Thousands = new()
    {
        ["Semel.Master"] = 1,
        ["Semel.ChunkServer"] = 2,
        ["Semel.Client"] = 3,
        ["Semel.Transport"] = 4,
        ["Semel.Storage"] = 5,
        ["Semel.Cli"] = 6,
    };

    private static List<(string Project, MethodInfo Method, LoggerMessageAttribute Event)> Events() =>
    [
        .. from project in Repository.Projects
           from type in Repository.Load(project).GetTypes()
           from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
           let attribute = method.GetCustomAttribute<LoggerMessageAttribute>()
           where attribute is not null
           select (project, method, attribute),
    ];

    [Fact]
    public void Event_ids_are_unique_over_all_assemblies()
    {
        var events = Events();

        Assert.NotEmpty(events);
        var shared = events.GroupBy(e => e.Event.EventId).Where(g => g.Count() > 1)
            .Select(g => $"{g.Key}: {string.Join(", ", g.Select(e => $"{e.Method.DeclaringType}.{e.Method.Name}"))}");
        Assert.Empty(shared);
    }

    [Fact]
    public void Event_ids_are_in_the_range_of_their_project()
    {
        foreach (var (project, method, attribute) in Events())
        {
            Assert.True(
                Thousands.TryGetValue(project, out int thousand) && attribute.EventId / 1000 == thousand,
                $"{method.DeclaringType}.{method.Name} has the event id {attribute.EventId}; the ids of {project} are {thousand}000 to {thousand}999.");
        }
    }
}
