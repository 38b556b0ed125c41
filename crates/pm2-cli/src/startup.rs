//! The commands `startup` and `unstartup`.
//!
//! What they print is PM2's, specification `cli.md` §11. A step that fails makes `unstartup` fail, too.

use anyhow::Context;
use pm2_core::startup::{
    Action, Facts, InitSystem, Place, Plan, Removal, Request, StartupError, Step, command_text, install,
    plan, removal, remove, save_list,
};

use crate::connected::{home, print, runtime};

/// Sets the init system up, or undoes that.
pub(crate) fn change_init_system(action: Action, request: &Request) -> anyhow::Result<()> {
    let get = |key: &str| std::env::var(key).ok();
    let place = Place::from_env(&get);
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let facts = Facts::of_this_process(executable, &home()?, &place, &get);
    tell_what_was_found(request, &facts)?;
    let done = match action {
        Action::Install => plan(request, &facts).map(|plan| install_plan(&plan, &facts, &place)),
        Action::Remove => removal(request, &facts).map(|removal| undo(&removal, &place)),
    };
    match done {
        Ok(done) => done,
        // What PM2 prints of it, and where; scripts look for the line that begins with sudo.
        Err(StartupError::NotRoot { verb, line }) => {
            print(&format!(
                "[PM2] To {verb} the Startup Script, copy/paste the following command:\n{line}\n"
            ))?;
            std::process::exit(1)
        }
        Err(error) => Err(error.into()),
    }
}

fn tell_what_was_found(request: &Request, facts: &Facts) -> anyhow::Result<()> {
    let Some(found) = facts.detected else { return Ok(()) };
    print(&format!("[PM2] Init System found: {}\n", found.name()))?;
    let asked = request.platform.as_deref().filter(|asked| !asked.is_empty());
    let Some(asked) = asked.filter(|asked| InitSystem::named(asked, facts.detected) != facts.detected) else {
        return Ok(());
    };
    let rule = "-".repeat(59);
    print(&format!(
        "{rule}\n PM2 detected {} but you precised {asked}\n Please verify that your choice is indeed your init system\n \
         If you arent sure, just run : pm2-rs startup\n{rule}\n",
        found.name()
    ))
}

fn install_plan(plan: &Plan, facts: &Facts, place: &Place) -> anyhow::Result<()> {
    if let Some(file) = runtime()?.block_on(save_list(&plan.home, &facts.executable))? {
        print(&format!("[PM2] Process list saved in {}\n", file.display()))?;
    }
    let commands: Vec<String> = plan.commands.iter().map(|command| command_text(command)).collect();
    let destination = plan.destination.display();
    print(&format!(
        "Platform {}\nTemplate\n{}\nTarget path\n{destination}\nCommand list\n{}\n",
        plan.platform,
        plan.template,
        array(&commands)
    ))?;
    let mut printed = Ok(());
    let mut tell = |step: Step<'_>| {
        let text = match step {
            Step::Writing => format!("[PM2] Writing init configuration in {destination}\n"),
            Step::Written => "[PM2] Making script booting at startup...\n".to_owned(),
            Step::Running(command) => format!("[PM2] [-] Executing: {command}...\n"),
            Step::Succeeded(output) => format!("{output}[PM2] [v] Command successfully executed.\n"),
            Step::Failed(output) => output.to_owned(),
        };
        if printed.is_ok() {
            printed = print(&text);
        }
    };
    install(plan, place, &mut tell)?;
    printed?;
    print(&format!(
        "+---------------------------------------+\n[PM2] Freeze a process list on reboot via:\n$ pm2-rs save\n\n\
         [PM2] Remove init script via:\n$ pm2-rs unstartup {}\n",
        plan.platform
    ))
}

fn undo(removal: &Removal, place: &Place) -> anyhow::Result<()> {
    let mut printed = Ok(());
    let failed = remove(removal, place, &mut |step| {
        if let (Step::Succeeded(output) | Step::Failed(output), Ok(())) = (step, &printed) {
            printed = print(output);
        }
    });
    printed?;
    if failed.is_empty() {
        return print("[PM2] Init file disabled.\n");
    }
    let texts: Vec<_> =
        failed.iter().map(|failed| format!("{} failed, see error above.", failed.command)).collect();
    anyhow::bail!("{}", texts.join("\n[PM2][ERROR] "))
}

/// Texts as Node prints an array of them.
fn array(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{}'", text.replace('\'', "\\'"))).collect();
    let width: usize = quoted.iter().map(String::len).sum::<usize>() + 2 * quoted.len() + 11;
    if width <= 80 {
        format!("[ {} ]", quoted.join(", "))
    } else {
        format!("[\n  {}\n]", quoted.join(",\n  "))
    }
}
