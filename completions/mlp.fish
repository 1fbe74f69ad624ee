# fish completion for mlp: every word comes from `mlp __complete`.
function __mlp_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l option (string match -r -- '^--[^=]*=' "$current")
    set -l value (string replace -- "$option" '' "$current")
    for line in (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files*'
                for path in (__fish_complete_path "$value")
                    echo "$option$path"
                end
            case ':directories*'
                for path in (__fish_complete_directories "$value")
                    echo "$option$path"
                end
            case '*'
                echo $line
        end
    end
end
complete -c mlp -f -a '(__mlp_complete)'
