using System.Globalization;
using System.Reflection;
using System.Text;
using Semel.Client;
using Semel.Tests.House;

namespace Semel.Tests.PublicApi;

/// <summary>What is public is a promise, so it is written down.</summary>
public sealed class PublicApiTests
{
    private const string Listing = "test/Semel.Tests/PublicApi/Semel.Client.txt";

    /// <summary>A change that is meant: copy what the test wrote beside the listing over it, and say in the commit why.</summary>
    [Fact]
    public void The_public_surface_is_the_one_that_is_written_down()
    {
        string actual = Describe(typeof(SemelClient).Assembly);
        string path = Path.Join(Repository.Root, Listing);
        string expected = File.Exists(path) ? File.ReadAllText(path) : "";
        if (expected != actual)
            File.WriteAllText(path + ".actual", actual);

        Assert.Equal(expected, actual);
    }

    [Fact]
    public void Everything_public_is_in_one_namespace() =>
        Assert.All(typeof(SemelClient).Assembly.GetExportedTypes(), t => Assert.Equal("Semel.Client", t.Namespace));

    private static string Describe(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var type in assembly.GetExportedTypes().OrderBy(t => t.FullName, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"{Kind(type)} {type.Name}");
            if (type.BaseType is { } parent && parent != typeof(object) && parent != typeof(ValueType) && parent != typeof(Enum))
                text.Append(CultureInfo.InvariantCulture, $" : {Name(parent)}");
            text.Append('\n');
            var members = type.GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
                .Where(m => !IsAccessor(m) && !IsOfRecords(m))
                .Select(m => Describe(type, m))
                .Order(StringComparer.Ordinal);
            foreach (string member in members)
                text.Append(CultureInfo.InvariantCulture, $"    {member}\n");
        }
        return text.ToString();
    }

    private static string Kind(Type type) =>
        type.IsEnum ? "enum" : type.IsValueType ? "struct" : type.IsInterface ? "interface" : type.IsAbstract && type.IsSealed ? "static class" : type.IsAbstract ? "abstract class" : "class";

    private static bool IsAccessor(MemberInfo member) => member is MethodInfo { IsSpecialName: true } method && !method.Name.StartsWith("op_", StringComparison.Ordinal)
        || member is FieldInfo { IsSpecialName: true };

    /// <summary>What the compiler gives every record.</summary>
    private static bool IsOfRecords(MemberInfo member) => member.Name is "Equals" or "GetHashCode" or "<Clone>$" or "op_Equality" or "op_Inequality" or "Deconstruct";

    private static string Describe(Type type, MemberInfo member) => member switch
    {
        ConstructorInfo c => $"new({Parameters(c)})",
        MethodInfo m => $"{Name(m.ReturnType)} {m.Name}({Parameters(m)})",
        PropertyInfo p => $"{Name(p.PropertyType)} {p.Name} {{ {(p.GetMethod is { IsPublic: true } ? "get; " : "")}{Setter(p)}}}",
        FieldInfo f when type.IsEnum => $"{f.Name} = {Convert.ToInt64(f.GetRawConstantValue(), CultureInfo.InvariantCulture)}",
        FieldInfo f => $"{(f.IsLiteral ? "const " : f.IsInitOnly ? "readonly " : "")}{Name(f.FieldType)} {f.Name}",
        _ => member.ToString()!,
    };

    private static string Setter(PropertyInfo property) => property.SetMethod is not { IsPublic: true } setter ? ""
        : setter.ReturnParameter.GetRequiredCustomModifiers().Length > 0 ? "init; " : "set; ";

    private static string Parameters(MethodBase method) =>
        string.Join(", ", method.GetParameters().Select(p => $"{Name(p.ParameterType)} {p.Name}{(p.HasDefaultValue ? " = " + (p.DefaultValue ?? "default") : "")}"));

    private static string Name(Type type)
    {
        if (type.IsByRef)
            return "out " + Name(type.GetElementType()!);
        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return Name(underlying) + "?";
        if (!type.IsGenericType)
            return type.Name;
        return $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
