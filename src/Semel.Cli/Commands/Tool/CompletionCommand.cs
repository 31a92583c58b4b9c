using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Tool;

/// <summary><c>semel completion SHELL</c>: a script that asks <c>semel [suggest:N] LINE</c> for what may come next.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # semel completion bash > ~/.local/share/bash-completion/completions/semel
        _semel_complete() {
          local IFS=$'\n' rest=${COMP_LINE:${#COMP_WORDS[0]}}
          local point=$((COMP_POINT - ${#COMP_WORDS[0]} + 5))
          COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$point]" "semel$rest" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _semel_complete semel ./semel

        """;

    private const string Zsh = """
        #compdef semel
        # semel completion zsh > "${fpath[1]}/_semel"
        _semel() {
          local -a candidates
          candidates=("${(@f)$(${words[1]} "[suggest:${#BUFFER}]" "$BUFFER" 2>/dev/null)}")
          compadd -- $candidates
        }
        compdef _semel semel

        """;

    private const string Fish = """
        # semel completion fish > ~/.config/fish/completions/semel.fish
        complete -c semel -f -a '(semel "[suggest:"(commandline -C)"]" (commandline) 2>/dev/null)'

        """;

    public static Command Create(VerbRunner run)
    {
        var shell = new Argument<string>("shell") { HelpName = "bash|zsh|fish", Description = "For which shell." };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        shell.HelpName = "bash|zsh|fish";
        return run.Runs(new Command("completion", "Print a script that completes semel's verbs and options.") { shell }, context =>
        {
            string script = context.Get(shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish };
            context.Streams.WriteLine(script.TrimEnd('\n'));
            return Task.CompletedTask;
        });
    }
}
