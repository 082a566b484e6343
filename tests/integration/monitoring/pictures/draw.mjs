// node draw.mjs CHROMIUM URL FILE WIDTH: a picture of a page that says by its title when it is drawn.
import puppeteer from "puppeteer-core";

const [chromium, url, file, width] = process.argv.slice(2);
const options = ["--no-sandbox", "--force-color-profile=srgb"];
const browser = await puppeteer.launch({ executablePath: chromium, args: options });
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`${error}`));
  // Panels are drawn only where they would be seen.
  await page.setViewport({ width: Number(width), height: 4000 });
  await page.goto(url);
  await page.waitForFunction(() => document.title === "drawn", { timeout: 120000 });
  await page.evaluate(() => {
    // What serves to edit or download does not belong to the dashboard.
    for (const button of document.querySelectorAll("button:not([aria-label]), button[aria-label='View JSON']")) {
      if (["", "Edit"].includes(button.textContent)) button.style.display = "none";
    }
    for (const choice of document.querySelectorAll("[role=combobox]")) {
      if (choice.textContent === "Off") choice.closest(".MuiFormControl-root, .MuiInputBase-root").style.display = "none";
    }
  });
  const height = await page.evaluate(() => {
    const grids = [...document.querySelectorAll(".react-grid-layout")];
    return Math.ceil(Math.max(...grids.map((grid) => grid.getBoundingClientRect().bottom)));
  });
  await page.screenshot({ path: file, clip: { x: 0, y: 0, width: Number(width), height: height + 8 } });
} finally {
  await browser.close();
}
