// A page that draws the dashboard which stands beside it, and says when it has nothing more to load.
import { ThemeProvider } from "@mui/material";
import { ChartsProvider, SnackbarProvider, generateChartsTheme, getTheme } from "@perses-dev/components";
import { ViewDashboard } from "@perses-dev/dashboards";
import * as panels from "@perses-dev/panels-plugin";
import panelsResource from "@perses-dev/panels-plugin/plugin.json";
import { PluginRegistry, dynamicImportPluginLoader } from "@perses-dev/plugin-system";
import * as prometheus from "@perses-dev/prometheus-plugin";
import prometheusResource from "@perses-dev/prometheus-plugin/plugin.json";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import { QueryParamProvider } from "use-query-params";
import { WindowHistoryAdapter } from "use-query-params/adapters/window";

const loader = dynamicImportPluginLoader([
  { resource: panelsResource, importPlugin: async () => panels },
  { resource: prometheusResource, importPlugin: async () => prometheus },
]);
const kinds = { Panel: "TimeSeriesChart", TimeSeriesQuery: "PrometheusTimeSeriesQuery" };
const client = new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: false, retry: false } } });
const theme = getTheme("light");
const charts = generateChartsTheme(theme, {});
const nothing = async () => undefined;
const none = async () => [];
const datasources = {
  getDatasource: nothing,
  getGlobalDatasource: nothing,
  listDatasources: none,
  listGlobalDatasources: none,
};

// A slow machine has quiet moments before a panel has asked: each of these queries needs its answer.
const queries = new Set();

function Quiet() {
  useEffect(() => {
    let quiet = 0;
    const timer = setInterval(() => {
      const isOfPanel = (query) => JSON.stringify(query.queryKey).includes("PrometheusTimeSeriesQuery");
      const answered = client.getQueryCache().findAll({ predicate: isOfPanel }).filter((query) => query.state.data);
      const hasRoom = [...document.querySelectorAll(".react-grid-item")].every((panel) => panel.clientWidth > 50);
      quiet = client.isFetching() || answered.length < queries.size || !hasRoom ? 0 : quiet + 1;
      if (quiet > 15) {
        document.title = "drawn";
        clearInterval(timer);
      }
    }, 100);
    return () => clearInterval(timer);
  }, []);
  return null;
}

const dashboard = await (await fetch("dashboard.json")).json();
for (const panel of Object.values(dashboard.spec.panels)) {
  for (const query of panel.spec.queries ?? []) queries.add(JSON.stringify(query));
}
createRoot(document.getElementById("root")).render(
  <ThemeProvider theme={theme}>
    <ChartsProvider chartsTheme={charts} enablePinning={false}>
      <SnackbarProvider>
        <PluginRegistry pluginLoader={loader} defaultPluginKinds={kinds}>
          <QueryClientProvider client={client}>
            <Quiet />
            <QueryParamProvider adapter={WindowHistoryAdapter}>
              <ViewDashboard dashboardResource={dashboard} datasourceApi={datasources} isReadonly />
            </QueryParamProvider>
          </QueryClientProvider>
        </PluginRegistry>
      </SnackbarProvider>
    </ChartsProvider>
  </ThemeProvider>,
);
